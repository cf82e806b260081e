"""Several processes on one piece of work, started by torchrun: on the devices of one host, or of several.

    with workers("cuda") as team:
        model = torch.nn.Linear(2, 2).to(team.device)
        wrapped = team.parallel(model)

Without torchrun a team is one process, and nothing of torch is loaded. With it every process does the same, except that
the one of rank 0, which leads, writes the files and speaks.

How a run ends that goes wrong: the process that fails first says why, in one line; the others end without a word. They
learn of it from the broadcast that :meth:`Workers.lead` ends with, from a connection that broke, or from torchrun,
which ends all when one has ended. Who was first is counted in torchrun's store, which outlives them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from noiseaug.errors import InvalidInputError, NoiseaugError, first_line
from noiseaug.runs import torchrun

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from noiseaug.vision.device import Share

__all__ = ["Workers", "workers"]

_PATIENCE = timedelta(days=10)  # one process may wait for another's images, or for rank 0's test, as long as they take
_INTERRUPTED, _FAILED = 130, 2  # exit statuses, as of noiseaug.cli.running
_LEAST_IMAGES = 2  # of a batch that a process takes: batch norm cannot take one

Result = TypeVar("Result")


class _LeaderFailedError(Exception):
    """Rank 0 failed, and tells why itself."""


@dataclass(frozen=True, eq=False)
class Workers:
    """The team of processes that this one belongs to; by default it is alone.

    Attributes:
        rank: the number of this process, from 0; rank 0 leads.
        count: number of processes.
        local_rank: the number of this process among those of its host.
        device: what this process computes on, as torch names it.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    device: str = "cpu"
    _gradients: Any = None  # the group that averages gradients; None: the default group, whose messages go between CPUs

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def share(self, images: int) -> Share | None:
        """Which images of a batch this process takes; None: all of them.

        A batch with fewer than two images for each process is not shared: all do the same with it.
        """
        if self.count == 1 or images < _LEAST_IMAGES * self.count:
            return None
        from noiseaug.vision.device import Share

        first, last = (images * rank // self.count for rank in (self.rank, self.rank + 1))
        return Share(first, last, images)

    def lead(self, action: Callable[[], Result]) -> Result:
        """What the leader's call returns, in every process; what it raises, the leader raises and the others end."""
        if self.count == 1:
            return action()
        import torch.distributed as dist

        told: list[Any] = [False, None]
        if not self.leads:
            dist.broadcast_object_list(told, src=0)
            if not told[0]:
                raise _LeaderFailedError
            result: Result = told[1]
            return result
        try:
            told = [True, action()]
        finally:
            dist.broadcast_object_list(told, src=0)
        result = told[1]
        return result

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """Lets the first process of each host do something before the others, such as downloading a data set."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()

    def wait(self) -> None:
        """Returns when every process has come here."""
        self.any(False)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all must ask."""
        if self.count == 1:
            return flag
        import torch

        number = torch.tensor([int(flag)])
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        return bool(number.item())

    def add(self, values: Tensor) -> Tensor:
        """The sum over processes, in place; on a GPU nothing is waited for."""
        if self.count > 1:
            import torch

            torch.distributed.all_reduce(values, group=self._gradients)
        return values

    def synchronised(self, model: nn.Module) -> None:
        """Makes batch norms use the statistics of the whole batch, in place; torch can do so on CUDA alone.

        On a CPU each process keeps to its share, and rank 0's running statistics are everyone's.
        """
        if self.count == 1 or not self.device.startswith("cuda"):
            return
        from torch import nn

        for name, part in list(model.named_children()):
            setattr(model, name, nn.SyncBatchNorm.convert_sync_batchnorm(part, self._gradients))

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are averaged over the processes, which then have the weights of rank 0.

        Its forward is for training alone, once a step: attacks differentiate the model itself.
        """
        if self.count == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        wrapped: nn.Module = DistributedDataParallel(model, process_group=self._gradients)
        return wrapped


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """The team of this process, which it leaves at the end.

    Args:
        device: ``cpu``, or ``cuda``, of which every process takes its own; without torchrun any of torch's.

    Raises:
        InvalidInputError: where a process has no device of its own.
        NoiseaugError: where a process of the team was lost.
        SystemExit: in place of any error, where another process tells it.
    """
    place = torchrun.place()
    if place is None:
        yield Workers(device=device)
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, count = next(iter(rendezvous("env://")))
        # by way of the CPUs; what is long waited for, such as rank 0's test, is no hang
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    except RuntimeError as error:
        raise InvalidInputError(f"the processes of torchrun do not find one another: {first_line(error)}") from None
    try:
        own = _own_device(device, place)
        _share_threads(place)
        gradients = dist.new_group(backend="nccl") if own.startswith("cuda") else None
        team = Workers(place.rank, place.count, place.local_rank, own, gradients)
        yield team
        team.wait()
    except BaseException as error:
        # the group is left as it is: to leave it in order is to wait for processes that have failed
        _end(error, dist.PrefixStore("noiseaug", store), leads=place.rank == 0)
        raise
    dist.destroy_process_group()


def _own_device(device: str, place: torchrun.Place) -> str:
    """The device of one process of several."""
    if device not in ("cpu", "cuda"):
        raise InvalidInputError(
            f"device is {device!r}, and torchrun started {place.count} processes; expected cpu, or cuda, of which each "
            "takes its own"
        )
    if device == "cpu":
        return device
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not there:
        raise InvalidInputError("no CUDA device; leave out --device or use cpu")
    if there < place.local_count:
        raise InvalidInputError(
            f"torchrun started {place.local_count} processes on a host with {there} CUDA devices; expected one for "
            f"each: --nproc-per-node {there}"
        )
    torch.cuda.set_device(place.local_rank)
    return f"cuda:{place.local_rank}"


def _share_threads(place: torchrun.Place) -> None:
    """Shares the cores of a host among its processes; torchrun's own default is one thread each."""
    if os.environ.get("OMP_NUM_THREADS", "1") != "1":
        return  # the user's choice
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // place.local_count))


def _end(error: BaseException, store: torch.distributed.Store, *, leads: bool) -> None:
    """Ends this process without a word where another one has failed before; else lets it tell of the error.

    Raises:
        NoiseaugError: where the error is that a process was lost, which said nothing.
        SystemExit: in place of the error, where another process tells it.
    """
    try:
        first = not isinstance(error, _LeaderFailedError) and store.add("failed", 1) == 1
    except KeyboardInterrupt as interruption:
        # pressed while this process waited for another, it shows here
        error, first = interruption, store.add("failed", 1) == 1
    except RuntimeError:  # the store has gone, with the process that held it
        first = False
    if isinstance(error, KeyboardInterrupt):
        if first:
            raise error
        raise SystemExit(_INTERRUPTED) from None
    if not first:
        torchrun.wait_for_the_end()
        raise SystemExit(_FAILED) from None
    if not leads:
        print(file=sys.stderr)  # the leader's bar may stand in the line
    if isinstance(error, RuntimeError) and _is_of_a_connection(error):
        raise NoiseaugError(
            "another process of this run was lost, perhaps for its memory; what is finished is kept, --resume does "
            "the rest"
        ) from None


def _is_of_a_connection(error: RuntimeError) -> bool:
    """Whether an error is that of a message to another process; gloo's have no class of their own."""
    import torch

    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "Connection" in str(error)

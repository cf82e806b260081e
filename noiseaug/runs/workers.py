"""Independent pieces of work, in this process, in worker processes, or on a Dask cluster; results as they come."""

from __future__ import annotations

import asyncio
import numbers
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

from noiseaug.errors import InvalidInputError, NoiseaugError
from noiseaug.runs.progress import progress_bar

__all__ = ["check_jobs", "check_wanted", "run_all", "threads_each"]

_START_SECONDS = 1.5  # that worker processes take, at most, until they have imported what they need
_DASK_PATIENCE = 5  # seconds for a scheduler to answer
_MOST_JOBS = 1000
_WORKER_PATIENCE = 60  # seconds for its first worker to join; a cluster may start them as jobs of their own

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    *,
    jobs: int = 1,
    dask: str | None = None,
    progress: str | None = None,
    one_by_one: bool = False,
    if_worth: bool = False,
) -> Generator[tuple[int, Result]]:
    """Yields (index, function(piece)) in the order in which they finish.

    Each piece runs on one thread wherever it runs: small matrices need no more, and sums keep their order.

    Args:
        function: importable. Where a Dask worker is lost, its pieces run again on another one.
        pieces: its arguments.
        jobs: worker processes; 1 runs here, −1 uses every core.
        dask: address of a Dask scheduler to run on instead, on all its workers.
        progress: title of a progress bar on standard error, or None.
        one_by_one: hand out each piece by itself, for pieces that take long; short ones may otherwise go together.
        if_worth: begin here, and start worker processes only once they are sure to save time.

    Raises:
        InvalidInputError: for a bad number of jobs, or an address where no scheduler answers or one without workers,
            before any work is done.
        NoiseaugError: where a worker process or the scheduler is lost.
    """
    check_jobs(jobs)
    with (
        nullcontext() if dask is None else _client(dask) as client,
        progress_bar(total=len(pieces), desc=progress, show=progress is not None, unit="cell") as bar,
    ):
        results: Generator[tuple[int, Result]]
        if client is not None:
            results = _on_cluster(client, function, pieces)
        elif jobs == 1 or len(pieces) < 2:
            results = (_one(function, index, piece) for index, piece in enumerate(pieces))
        elif if_worth:
            results = _in_processes_if_worth(function, pieces, jobs)
        else:
            results = _in_processes(function, pieces, jobs, 1 if one_by_one else "auto")
        with closing(results):
            for item in results:
                bar.update()
                yield item


def check_jobs(jobs: int) -> None:
    """Raises InvalidInputError unless ``jobs`` is a number of worker processes, as for :func:`run_all`."""
    if isinstance(jobs, bool) or not isinstance(jobs, numbers.Integral) or jobs == 0 or not -1 <= jobs <= _MOST_JOBS:
        raise InvalidInputError(
            f"jobs is {jobs!r}; expected a number of processes, or -1 for one a core; {_MOST_JOBS} at most"
        )


def threads_each(jobs: int, pieces: int) -> int:
    """Threads that each piece may use where ``run_all`` has more workers to give than pieces.

    Args:
        jobs: as for :func:`run_all`.
        pieces: number of pieces.
    """
    check_jobs(jobs)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (cores if jobs == -1 else jobs) // max(1, pieces))


def check_wanted() -> None:
    """Ends a piece of work that nobody waits for any more; long pieces call it now and then.

    A process of our own ends with its parent. A Dask worker outlives whoever uses it, and would finish a piece that
    takes hours. To be called by the thread that the piece began in.

    Raises:
        CancelledError: where the Dask scheduler has withdrawn the piece.
    """
    if "distributed" not in sys.modules:
        return
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks[worker.get_current_task()]
    except (ValueError, KeyError):  # this is no worker, or the thread runs none of its tasks
        return
    if task.state == "cancelled":  # its key was released while it runs
        raise CancelledError


def _one(
    function: Callable[[Piece], Result], index: int, piece: Piece, parent: int | None = None
) -> tuple[int, Result]:
    if parent is not None:
        _follow(parent)
    with _thread_pools().limit(limits=1):
        return index, function(piece)


@cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


@cache
def _follow(parent: int) -> None:
    """Makes a worker process ignore Ctrl-C, which its parent answers, and ends it soon after its parent has ended."""
    if os.getppid() != parent:  # no worker process: the pieces of a worker run in itself
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_processes_if_worth(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int
) -> Generator[tuple[int, Result]]:
    """Results from here, until what is left would take so long that worker processes save more than their start."""
    saved = 1 - 1 / threads_each(jobs, 1)
    spent = 0.0
    for index, piece in enumerate(pieces):
        # the first piece does not count: it may import what it needs
        if index > 1 and spent / (index - 1) * (len(pieces) - index) * saved > _START_SECONDS:
            yield from (
                (index + later, found) for later, found in _in_processes(function, pieces[index:], jobs, "auto")
            )
            return
        begun = time.perf_counter()
        result = _one(function, index, piece)
        spent += time.perf_counter() - begun if index > 0 else 0.0
        yield result


def _in_processes(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int, batch: int | str
) -> Generator[tuple[int, Result]]:
    import joblib

    parent = os.getpid()
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=batch)
        results = parallel(joblib.delayed(_one)(function, index, piece, parent) for index, piece in enumerate(pieces))
    try:
        for result in results:  # noqa: UP028  (yield from would close it before the except clause)
            yield result
    except GeneratorExit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the work is thrown away, which is meant
            results.close()
        raise
    except BrokenExecutor:
        raise NoiseaugError("a worker process was killed, perhaps for its memory; try again with fewer jobs") from None


def _on_cluster(
    client: Any, function: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Generator[tuple[int, Result]]:
    """Results from the client's own futures; the pieces that are left are withdrawn when the client closes."""
    from distributed import KilledWorker, as_completed

    # a piece by itself each, for the scheduler to give to workers that join later
    futures = [client.submit(_one, function, index, piece, pure=False) for index, piece in enumerate(pieces)]
    try:
        for future in as_completed(futures):
            result: tuple[int, Result] = future.result()
            yield result
    except KilledWorker:
        raise NoiseaugError(
            "several Dask workers died of the same piece of work, perhaps for its memory; see the workers' logs"
        ) from None
    except CancelledError:
        raise NoiseaugError(f"the Dask scheduler at {client.scheduler.addr} was lost") from None


@contextmanager
def _client(dask: str) -> Iterator[Any]:
    """A client of a scheduler that answers and has at least one worker."""
    try:
        from distributed import Client
    except ImportError:
        raise InvalidInputError("--dask needs the extra 'dask': pip install 'noiseaug[dask]'") from None
    if not dask:
        raise InvalidInputError("the address of the Dask scheduler is empty; expected one like tcp://127.0.0.1:8786")
    try:
        # in a thread: this one may have a running event loop, as notebooks do
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, _knock(dask)).result()
        client = Client(dask, timeout=_DASK_PATIENCE)
    except Exception as error:  # each transport has its own errors
        raise InvalidInputError(f"no Dask scheduler answers at {dask}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKER_PATIENCE)
        except TimeoutError:
            raise InvalidInputError(
                f"the Dask scheduler at {dask} has no workers; start some: dask worker {dask} --nthreads 1"
            ) from None
        yield client


async def _knock(address: str) -> None:
    """Connects to a scheduler and leaves, or raises.

    A ``Client`` whose construction fails closes itself when it is collected, in whichever thread that happens, and may
    wait there forever; so none is made where nothing answers.
    """
    from distributed.comm import connect

    comm = await connect(address, timeout=_DASK_PATIENCE)
    await comm.close()

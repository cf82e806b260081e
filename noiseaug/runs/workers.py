"""Independent pieces of work, in this process, in worker processes, or on a Dask cluster; results as they come."""

from __future__ import annotations

import asyncio
import ctypes
import numbers
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

from noiseaug.errors import InvalidInputError, NoiseaugError

__all__ = ["Abandoned", "abandonable", "count_workers", "run_all"]

_DASK_PATIENCE = 5  # seconds until a scheduler has to answer
_WORKER_PATIENCE = 60  # seconds until it has to have a worker; those of a cluster's job start when they can
_LOOK_SECONDS, _AGAIN_SECONDS = 1.0, 10.0  # between two looks at whether a piece is wanted; until it is told again

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
) -> Generator[tuple[int, Result]]:
    """Yields (index, function(piece)) in the order in which they finish.

    Args:
        function: importable. Its piece may be begun anew elsewhere where a Dask worker is lost.
        pieces: its arguments.
        jobs: worker processes; 1 runs here, −1 uses every core.
        dask: address of a Dask scheduler to run on instead, on all its workers.
        progress: title of a progress bar on standard error, or None.
        one_by_one: hand out each piece by itself, for pieces that take long; else short ones may go together.

    Raises:
        InvalidInputError: for a bad number of jobs, or an address where no scheduler answers or none that has a worker,
            before any work is done.
        NoiseaugError: where a worker process or the scheduler is lost.
    """
    _check_jobs(jobs)
    from tqdm import tqdm

    here = dask is None and (jobs == 1 or len(pieces) < 2)
    # a log file gets a line now and then, a terminal a bar that moves
    every = 0.1 if sys.stderr.isatty() else 10.0
    with (
        nullcontext() if here else _backend(dask),
        tqdm(total=len(pieces), desc=progress, disable=progress is None, unit="cell", mininterval=every) as bar,
    ):
        if here:
            results: Iterator[tuple[int, Result]] = (
                _one(function, index, piece, None) for index, piece in enumerate(pieces)
            )
        else:
            results = _elsewhere(function, pieces, jobs, dask, one_by_one)
        for item in results:
            bar.update()
            yield item


def count_workers(jobs: int = 1, dask: str | None = None) -> int:
    """How many processes would work at a time; a cluster may later have more or fewer of them.

    Args:
        jobs: as for :func:`run_all`.
        dask: as there.

    Raises:
        InvalidInputError: as there.
    """
    _check_jobs(jobs)
    if dask is not None:
        with _client(dask) as client:
            return len(client.nthreads())
    import joblib

    return int(joblib.effective_n_jobs(jobs))


def _check_jobs(jobs: int) -> None:
    if isinstance(jobs, bool) or not isinstance(jobs, numbers.Integral) or jobs == 0 or jobs < -1:
        raise InvalidInputError(f"jobs is {jobs!r}; expected a number of processes, or -1 for one a core")


def _elsewhere(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int, dask: str | None, one_by_one: bool
) -> Iterator[tuple[int, Result]]:
    import joblib

    jobs, parent = (jobs, os.getpid()) if dask is None else (-1, None)
    parallel = joblib.Parallel(
        n_jobs=jobs,
        return_as="generator_unordered",
        batch_size=1 if one_by_one else "auto",
        # a scheduler that knows of all of them can give some to workers that join later
        pre_dispatch="all" if one_by_one and dask is not None else "2 * n_jobs",
    )
    calls = (joblib.delayed(_one)(function, index, piece, parent) for index, piece in enumerate(pieces))
    results = parallel(calls)
    try:
        for result in results:  # noqa: UP028  (yield from would close it before the except clause)
            yield result
    except GeneratorExit:
        # whoever takes the results has stopped; joblib warns of what is meant
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            results.close()
        raise
    except BrokenExecutor:
        raise NoiseaugError("a worker process was killed, perhaps for its memory; try again with fewer jobs") from None
    except CancelledError:
        raise NoiseaugError(f"the Dask scheduler at {dask} was lost") from None
    except Exception as error:
        if dask is None or not isinstance(error, _killed_worker()):
            raise
        raise NoiseaugError(
            "several Dask workers died of the same piece of work, perhaps for its memory; see the workers' logs"
        ) from None


def _killed_worker() -> type[Exception]:
    from distributed import KilledWorker

    found: type[Exception] = KilledWorker
    return found


def _one(function: Callable[[Piece], Result], index: int, piece: Piece, parent: int | None) -> tuple[int, Result]:
    """One piece, on one thread wherever it runs: small matrices want no more, and sums keep their order."""
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
    """Makes a worker process deaf to Ctrl-C, which its parent answers, and ends it soon after its parent has ended."""
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Abandoned(BaseException):
    """A piece of work that nobody waits for any more; no ``Exception``, so that nothing on its way keeps it."""


@contextmanager
def abandonable() -> Iterator[None]:
    """Ends the work within by ``Abandoned`` soon after nobody waits for it any more.

    A process of our own ends with its parent. A Dask worker outlives whoever uses it, and would go on with a piece that
    takes hours; there a second thread looks whether the scheduler still wants it. It is told between two instructions
    of Python, so whatever waits within must not wait for long.
    """
    wanted = _wanted()
    if wanted is None:
        yield
        return
    thread, over = ctypes.c_ulong(threading.get_ident()), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if not wanted():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Abandoned))
                over.wait(_AGAIN_SECONDS)  # it may take a while to clear up

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        # what was said too late is not for the thread's next piece
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)


def _wanted() -> Callable[[], bool] | None:
    """Whether the Dask task that this thread works on is still wanted; None where it works on none."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks[worker.get_current_task()]
    except (ValueError, KeyError):  # this is no worker, or not one of its tasks
        return None
    # a task whose key was released goes on, as "cancelled", until its function returns
    return lambda: task.state != "cancelled"


@contextmanager
def _backend(dask: str | None) -> Iterator[None]:
    """joblib's own process pool, or its Dask backend on an existing cluster."""
    import joblib

    if dask is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    with _client(dask), joblib.parallel_config(backend=_dask_backend()):
        yield


def _dask_backend() -> Any:
    """joblib's backend for Dask, which also hears of a task that failed outside its function.

    joblib 1.6 is given such an error, as of a task whose workers all died, but not called back, and waits for ever.
    """
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def submit(self, func: Any, callback: Any = None) -> Any:
            def tell(done: Any) -> None:
                if not done.cancelled() and done.exception() is not None:
                    callback(done.exception())

            future = super().submit(func, callback)
            future.add_done_callback(tell)
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Backend()


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
    wait there for ever; so none is made where nothing answers.
    """
    from distributed.comm import connect

    comm = await connect(address, timeout=_DASK_PATIENCE)
    await comm.close()

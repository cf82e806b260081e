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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

from noiseaug.errors import InvalidInputError, NoiseaugError

__all__ = ["run_all"]

_DASK_PATIENCE = 5  # seconds until a scheduler has to answer

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    *,
    jobs: int = 1,
    dask: str | None = None,
    progress: str | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yields (index, function(piece)) in the order in which they finish.

    Args:
        function: importable, without side effects.
        pieces: its arguments.
        jobs: worker processes; 1 runs here, −1 uses every core.
        dask: address of a Dask scheduler to run on instead, on all its workers.
        progress: title of a progress bar on standard error, or None.

    Raises:
        InvalidInputError: for a bad number of jobs or an address where no scheduler answers, before any work is done.
        NoiseaugError: where a worker process or the scheduler is lost.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, numbers.Integral) or jobs == 0 or jobs < -1:
        raise InvalidInputError(f"jobs is {jobs!r}; expected a number of processes, or -1 for one a core")
    from tqdm import tqdm

    here = dask is None and (jobs == 1 or len(pieces) < 2)
    # a log file gets a line now and then, a terminal a bar that moves
    every = 0.1 if sys.stderr.isatty() else 10.0
    with (
        nullcontext() if here else _backend(dask),
        tqdm(total=len(pieces), desc=progress, disable=progress is None, unit="cell", mininterval=every) as bar,
    ):
        if here:
            results = (_one(function, index, piece, None) for index, piece in enumerate(pieces))
        else:
            results = _elsewhere(function, pieces, jobs, dask)
        for item in results:
            bar.update()
            yield item


def _elsewhere(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int, dask: str | None
) -> Iterator[tuple[int, Result]]:
    import joblib

    jobs, parent = (jobs, os.getpid()) if dask is None else (-1, None)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size="auto")
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


@contextmanager
def _backend(dask: str | None) -> Iterator[None]:
    """joblib's own process pool, or its Dask backend on an existing cluster."""
    import joblib

    if dask is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
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
    with client, joblib.parallel_config(backend="dask"):
        yield


async def _knock(address: str) -> None:
    """Connects to a scheduler and leaves, or raises.

    A ``Client`` whose construction fails closes itself when it is collected, in whichever thread that happens, and may
    wait there for ever; so none is made where nothing answers.
    """
    from distributed.comm import connect

    comm = await connect(address, timeout=_DASK_PATIENCE)
    await comm.close()

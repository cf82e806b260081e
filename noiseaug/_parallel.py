"""Independent pieces of work, in this process, in worker processes, or on a Dask cluster; results as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from noiseaug.errors import InvalidInputError

__all__ = ["run_all"]

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
        dask: address of a Dask scheduler to run on instead.
        progress: title of a progress bar on standard error, or None.
    """
    from tqdm import tqdm

    # a log file gets a line now and then, a terminal a bar that moves
    every = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(pieces), desc=progress, disable=progress is None, unit="cell", mininterval=every) as bar:
        for item in _results(function, pieces, jobs, dask):
            bar.update()
            yield item


def _results(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int, dask: str | None
) -> Iterator[tuple[int, Result]]:
    if dask is None and (jobs == 1 or len(pieces) < 2):
        for index, piece in enumerate(pieces):
            yield index, function(piece)
        return
    if jobs == 0 or jobs < -1:
        raise InvalidInputError(f"jobs is {jobs}; expected a number of processes, or -1 for one a core")
    import joblib

    with _backend(dask):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size="auto")
        yield from parallel(joblib.delayed(_indexed)(function, index, piece) for index, piece in enumerate(pieces))


def _indexed(function: Callable[[Any], Any], index: int, piece: Any) -> tuple[int, Any]:
    return index, function(piece)


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
    try:
        client = Client(dask, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"no Dask scheduler answers at {dask}: {error}") from None
    with client, joblib.parallel_config(backend="dask"):
        yield

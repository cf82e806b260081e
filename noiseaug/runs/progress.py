"""Progress bars."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["progress_bar"]


def progress_bar(items: Iterable[Any] | None = None, *, show: bool, **options: Any) -> Any:
    """A bar on standard error: it moves on a terminal, and a log file gets a line now and then.

    Args:
        items: what to iterate over; None where the caller updates the bar.
        show: whether to show it.
        **options: of ``tqdm``, such as ``desc``, ``total`` and ``unit``.

    Returns:
        A ``tqdm`` object, which is also a context manager.
    """
    from tqdm import tqdm

    return tqdm(items, disable=not show, mininterval=0.1 if sys.stderr.isatty() else 10.0, **options)

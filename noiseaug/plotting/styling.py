"""The project's style, applied without touching the user's own settings; figures that carry it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "style", "use_style"]

_COLUMN_WIDTH = 3.4  # inches of a journal's column
_LEAST_SIZE = 4.6, 2.7  # inches that a title and the label of a colour bar need


@cache
def _settings() -> Any:
    import matplotlib as mpl

    with resources.as_file(resources.files("noiseaug.plotting") / "noiseaug.mplstyle") as path:
        return mpl.rc_params_from_file(path, use_default_template=False)


@contextmanager
def style() -> Iterator[None]:
    """The project's style for what is drawn within, and the caller's own settings afterwards. Also a decorator."""
    import matplotlib as mpl

    with mpl.rc_context(_settings()):
        yield


def use_style() -> None:
    """Sets the project's style for all later figures, also those that are drawn by hand."""
    import matplotlib as mpl

    mpl.rcParams.update(_settings())


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class StyledFigure(Figure):
        """A figure that is drawn in the project's style, whenever that happens, and shown by notebooks."""

        def draw(self, renderer: Any) -> None:
            with style():
                super().draw(renderer)

        def get_tightbbox(self, *arguments: Any, **options: Any) -> Any:
            with style():
                return super().get_tightbbox(*arguments, **options)

        def _repr_png_(self) -> bytes:
            content = io.BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    return StyledFigure


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float | None = None, height: float | None = None
) -> tuple[Figure, Any]:
    """A figure and its axes (always an array), sized for one column a panel.

    The figure does not belong to pyplot: it needs no display and need not be closed. A notebook shows it where it is
    the value of a cell.

    Args:
        rows: rows of panels.
        columns: columns of panels.
        width: width of a panel in inches.
        height: height of a panel in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    wide, high = columns * (width or _COLUMN_WIDTH), rows * (height or 2.7)
    size = max(wide, _LEAST_SIZE[0]), max(high, _LEAST_SIZE[1])
    with style():
        figure = _figure_class()(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False)

"""Making figures one after the other: PDF, PNG and the table beside them, each written whole or not at all."""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from noiseaug.errors import NoiseaugError
from noiseaug.runs import write_atomically
from paper_figs import FIGURES, MISSING, PaperFigure, find
from paper_figs.tables import there

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["listing", "write", "write_all"]

_DPI = 200


def listing() -> str:
    """Every figure in a line, then what is missing."""
    lines = []
    for figure in map(find, FIGURES):
        tables = f"  [reads {', '.join(Path(path).name for path in figure.committed)}]" if figure.committed else ""
        lines.append(f"{figure.name:<18} {figure.title} ({figure.source}){tables}")
    lines += ["", "not drawn:", *(f"  {what}: {why}" for what, why in MISSING.items())]
    return "\n".join(lines) + "\n"


def write_all(figures: Sequence[PaperFigure], out: Path, fast: bool) -> list[str]:
    """Makes the figures; one that fails is reported and does not keep the others from being made.

    Args:
        figures: which.
        out: directory, made if it is not there.
        fast: small versions.

    Returns:
        Names of those that failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, figure in enumerate(figures, start=1):
        print(f"[{number}/{len(figures)}] {figure.name}: {figure.title}", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            paths = write(figure, out, fast)
        except (NoiseaugError, OSError) as error:
            print(f"{figure.name} failed: {' '.join(str(error).split())}", file=sys.stderr)
            failed.append(figure.name)
            continue
        except Exception:
            # a mistake in one figure; its traceback is for whoever mends it
            traceback.print_exc()
            print(f"{figure.name} failed", file=sys.stderr)
            failed.append(figure.name)
            continue
        present = [path for path in figure.committed if there(path)]
        if present:
            print(f"{figure.name}: draws committed numbers of {', '.join(present)}")
        for absent in set(figure.committed) - set(present):
            print(f"{figure.name}: drawn without {absent}, which is not committed yet")
        for path in paths:
            print(f"written: {path}")
        print(f"[{number}/{len(figures)}] {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return failed


def write(figure: PaperFigure, out: Path, fast: bool) -> list[Path]:
    """Makes one figure; nothing is written unless all of it could be made.

    Args:
        figure: which.
        out: an existing directory.
        fast: the small version.

    Returns:
        Paths of the table, the PDF, the PNG and further files.
    """
    from noiseaug.plotting import style

    table = figure.compute(fast)
    contents: dict[str, bytes] = {f"{figure.name}.csv": table.to_csv(index=False).encode()}
    with style():
        contents |= _rendered(figure.draw(table), figure.name)
        if figure.extras is not None:
            contents |= figure.extras(table)
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def _rendered(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as PDF and PNG."""
    import matplotlib as mpl

    found = {}
    # fonts as text that can be searched, and no date, so that an unchanged figure is an unchanged file
    with mpl.rc_context({"pdf.fonttype": 42}):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", None)):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=_DPI, metadata=metadata)
            found[f"{name}.{kind}"] = content.getvalue()
    return found

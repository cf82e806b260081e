"""The notebooks, and how they are executed: by ``python -m notebooks`` in place, by the tests in their fast mode."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["FAST", "FOLDER", "NAMES", "execute", "read", "slider_outputs"]

FOLDER = Path(__file__).parent
NAMES = (
    "noise_on_the_line",
    "when_does_noise_help",
    "choosing_alpha",
    "certify_your_own",
    "mnist_end_to_end",
    "cifar10_results",
)
"""In the order in which they are best read."""
FAST = "NOISEAUG_FAST"
"""Environment variable that the first cell of every notebook looks at; ``1`` is for little work."""

_VIEW = "application/vnd.jupyter.widget-view+json"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(path: Path) -> Any:
    """A notebook from its file."""
    return nbformat.read(path, as_version=4)


def execute(path: Path, *, environment: Mapping[str, str] | None = None, cell_seconds: int = 3600) -> Any:
    """A notebook with fresh outputs; its file stays as it is, its own folder is the working directory.

    A slider is replaced by what it showed first, so that the page reads without a kernel. Metadata are cut down to the
    kernel's name: nothing in the result depends on the machine, or on when it was made.

    Args:
        path: the notebook.
        environment: variables besides those of this process.
        cell_seconds: after which a cell is taken for stuck.

    Returns:
        The notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: where a cell fails.
        RuntimeError: where a slider's callback fails, which does not stop a notebook.
    """
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=cell_seconds,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    # another process finds the package wherever this one was started from
    roots = os.pathsep.join([str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    client.execute(env={**os.environ, "PYTHONPATH": roots, **(environment or {})})
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [shown for output in cell.outputs for shown in _settled(output, client.widget_state)]
            for failed in (output for output in cell.outputs if output.output_type == "error"):
                raise RuntimeError(f"{path.name}: a slider's callback raised {failed.ename}: {failed.evalue}")
    notebook.metadata = nbformat.from_dict(_METADATA)
    return notebook


def slider_outputs(model: str, states: Mapping[str, Any]) -> Iterator[Any]:
    """What the output widgets below a widget showed last.

    Args:
        model: id of the widget.
        states: of all widgets, by id.
    """
    state = states.get(model, {})
    yield from state.get("outputs", ()) if state.get("_model_name") == "OutputModel" else ()
    for child in state.get("children", ()):
        yield from slider_outputs(child.removeprefix("IPY_MODEL_"), states)


def _settled(output: Any, states: Mapping[str, Any]) -> list[Any]:
    """An output as it is kept: the page shows a slider's picture in its place."""
    view = output.get("data", {}).get(_VIEW)
    return [output] if view is None else list(slider_outputs(view["model_id"], states))

"""The committed notebooks are clean, hold what they show, and run; running them is slow."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="needs noiseaug[notebooks]")

import nbformat
from nbclient.exceptions import CellExecutionError

from notebooks import FAST, FOLDER, NAMES, execute, read, slider_outputs
from notebooks.__main__ import main
from tests.helpers.running import ROOT, content

MOST_BYTES = 300_000  # of an output
MOST_LINES = 8  # of a slider's callback
# folders of a machine, and drives; not "/" in fractions, in units or in addresses
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|root|work|tmp|usr|var|mnt|opt|Users|data)/|\b[A-Z]:\\")


def some_notebook(*sources: str):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    )


def code_cells(name: str):
    return [cell for cell in read(FOLDER / f"{name}.ipynb").cells if cell.cell_type == "code"]


def definitions(source: str) -> list[str]:
    """Names of what a cell defines, save short callbacks under ``@interact``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            found.append(node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(each) for each in node.decorator_list]
            short = (node.end_lineno or 0) - node.lineno < MOST_LINES
            if not (short and len(decorators) == 1 and decorators[0].startswith("interact(")):
                found.append(node.name)
    return found


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_folder_holds_these_notebooks_and_no_others():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebooks_are_clean_and_read_without_a_kernel(name):
    path = FOLDER / f"{name}.ipynb"
    notebook, cells = read(path), code_cells(name)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert not ABSOLUTE.search(cell.source)
    for output in (output for cell in cells for output in cell.outputs):
        text = nbformat.from_dict(output).__repr__()
        assert output.output_type != "error"
        assert output.get("name") != "stderr", text
        assert "widget-view" not in text
        assert len(text) < MOST_BYTES
        assert not ABSOLUTE.search(re.sub(r"'image/png': '[^']*'", "", text)), text


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_define_nothing_assert_something_and_know_the_fast_mode(name):
    cells = code_cells(name)
    assert sum(f'os.environ.get("{FAST}")' in line for line in cells[0].source.splitlines()) == 1
    assert [found for cell in cells for found in definitions(cell.source)] == []
    asserted = [node for cell in cells for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assert)]
    assert asserted
    # a page that a reader sees, not a script
    assert [cell.cell_type for cell in read(FOLDER / f"{name}.ipynb").cells].count("markdown") >= len(cells) / 2


def test_definitions_are_noticed():
    assert definitions("def helper(x):\n    return x") == ["helper"]
    assert definitions("class Helper: pass") == ["Helper"]
    assert definitions("@interact(x=1)\ndef f(x):\n" + "    x += 1\n" * MOST_LINES) == ["f"]
    assert definitions("@cache\n@interact(x=1)\ndef f(x):\n    pass") == ["f"]
    assert definitions("@interact(x=1)\ndef f(x):\n    pass\nkey = lambda x: x") == []


@pytest.mark.parametrize("text", ["/home/me/x", "'/work/data'", "C:\\Users", "open(/tmp/x)"])
def test_paths_of_a_machine_are_noticed(text):
    assert ABSOLUTE.search(text)


@pytest.mark.parametrize("text", ["https://arxiv.org/data/1", "../docs/data/x.csv", "and/or", "1/2", "docs/data/x"])
def test_other_slashes_are_no_paths(text):
    assert not ABSOLUTE.search(text)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(FOLDER / f"{name}.ipynb").cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        if target.startswith("https://"):
            continue
        page, _, anchor = target.partition("#")
        assert (FOLDER / page).is_file(), target
        assert not anchor or anchor in anchors(FOLDER / page), target


@pytest.fixture
def checkout(tmp_path):
    """The notebooks with the tables that they read, and nothing else of the repository."""
    for folder in ("notebooks", "docs/results", "paper_figs/data"):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return tmp_path


def run_fast(path: Path):
    return execute(path, environment={FAST: "1", "IPYTHONDIR": str(path.parents[1] / "ipython")}, cell_seconds=600)


# the libraries between this process and a kernel warn about one another
between_processes = pytest.mark.filterwarnings("ignore")


@between_processes
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebooks_run_in_fast_mode_and_leave_nothing_behind(name, checkout):
    before = content(checkout)
    notebook = run_fast(checkout / "notebooks" / f"{name}.ipynb")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    # what was shown is shown again, of the same kinds
    for cell, committed in zip(cells, code_cells(name), strict=True):
        assert [output.output_type for output in cell.outputs] == [output.output_type for output in committed.outputs]
    assert {path: digest for path, digest in content(checkout).items() if not path.startswith("ipython")} == before


@between_processes
@pytest.mark.slow
def test_a_wrong_number_fails(checkout):
    path = checkout / "notebooks" / "noise_on_the_line.ipynb"
    assert path.read_text(encoding="utf-8").count("== 0.93327") == 1
    path.write_text(path.read_text(encoding="utf-8").replace("== 0.93327", "== 0.93328"), encoding="utf-8")
    with pytest.raises(CellExecutionError, match="AssertionError"):
        run_fast(path)


@between_processes
@pytest.mark.slow
def test_our_grid_of_cifar10_is_drawn_where_it_is_there(checkout):
    shutil.copy(checkout / "docs/results/mnist_grid.csv", checkout / "docs/results/cifar10_grid.csv")
    notebook = run_fast(checkout / "notebooks" / "cifar10_results.ipynb")
    (cell,) = (cell for cell in notebook.cells if "GRID.exists()" in cell.source)
    assert ["image/png" in output.get("data", {}) for output in cell.outputs] == [True]


@between_processes
@pytest.mark.slow
def test_a_slider_is_kept_as_what_it_showed_and_its_failure_is_one(tmp_path):
    for source in ("print('first value', x)", "1 / 0"):
        path = tmp_path / "slider.ipynb"
        cell = f"from ipywidgets import interact\n@interact(x=(1, 5))\ndef show(x=2):\n    {source}"
        nbformat.write(some_notebook(cell), path)
        if source == "1 / 0":
            with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                execute(path)
            continue
        (output,) = execute(path).cells[0].outputs
        assert (output.output_type, output.text) == ("stream", "first value 2\n")


def test_outputs_of_a_slider_are_found_below_it():
    shown = {"output_type": "stream", "name": "stdout", "text": "hello"}
    states = {
        "box": {"_model_name": "VBoxModel", "children": ["IPY_MODEL_slider", "IPY_MODEL_out"]},
        "slider": {"_model_name": "FloatSliderModel"},
        "out": {"_model_name": "OutputModel", "outputs": [shown]},
    }
    assert list(slider_outputs("box", states)) == [shown]
    assert list(slider_outputs("slider", states)) == []


def test_unknown_notebooks_are_refused(capsys):
    assert main(["nope"]) == 2
    assert "noise_on_the_line" in capsys.readouterr().err

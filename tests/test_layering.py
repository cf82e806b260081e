"""Imports run downward only; torch and the drawing libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import ROOT, python

# From the ground up. A module may import from the lines above its own, and from its own package (whose cycles are
# looked for besides). A name stands for the module or package of that name and for all that is in it.
ORDER = (
    ("errors",),
    ("_numerics", "estimates", "_files"),
    ("_validate", "_rundir", "_options", "_torchrun"),
    ("_levels",),
    ("_noncentral", "_levelset", "_lattice", "confidence", "_parallel", "_noise", "_decimals", "_adapters"),
    ("_measures", "_majority", "laws", "certificates", "_outcome"),
    ("_regression", "_logfile", "_tsv"),
    ("votes", "records"),
    ("_certifier", "_shards"),
    ("certification",),
    ("estimator",),
    ("regions",),
    ("tasks",),
    ("predictors",),
    ("risk",),
    ("sweeps",),
    ("plotting",),
    ("comparison",),
    ("_tables",),
    ("vision",),
    ("report", "sources"),
    ("vision.commands",),
    ("bridge",),
    ("interference", "advice"),
    ("bridge_cli", "figures_cli"),
    ("certification_cli", "demo", "vision.cli", "vision.grid_cli"),
    ("synthetic.study",),
    ("synthetic.runs", "synthetic.benefit"),
    ("synthetic.presets",),
    ("_command",),
    ("synthetic.cli",),
    ("synthetic.__main__", "synthetic"),
    ("cli",),
    ("__main__",),
)
ROOF = "noiseaug"  # loads its parts when they are asked for; may be imported from anywhere, for its version alone
NOT_AT_MODULE_LEVEL = {"matplotlib", "seaborn", "torch", "tqdm", "joblib", "dask", "distributed", "rich", "sklearn"}
MAY_LOAD = {f"{ROOF}.estimator": "sklearn"}  # a scikit-learn estimator inherits from scikit-learn's
ONLY_IN = {"torch": "vision", "torchvision": "vision"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    name: str
    line: int
    at_module_level: bool
    for_types: bool


def imports(tree: ast.AST, module: str, package: bool = False) -> Iterator[Import]:
    """Every import of a module, those in functions and under TYPE_CHECKING too; relative ones are resolved."""
    yield from _imports(tree, module.split(".") if package else module.split(".")[:-1], True, False)


def _imports(node: ast.AST, package: list[str], top: bool, types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, top, types) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            parent = package[: len(package) - child.level + 1] if child.level else []
            source = ".".join([*parent, *filter(None, [child.module])])
            # a name taken from a module may be a module itself
            yield from (Import(f"{source}.{alias.name}", child.lineno, top, types) for alias in child.names)
        elif isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == ROOF:
            yield Import(f"{ROOF}.{child.attr}", child.lineno, top, types)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(child, package, False, types)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(ast.Module(child.body, []), package, top, True)
            yield from _imports(ast.Module(child.orelse, []), package, top, types)
        else:
            yield from _imports(child, package, top, types)


def rank(name: str) -> tuple[int, str] | None:
    """The line of ORDER that a module stands in, and under which name; None if in none."""
    inner = name.removeprefix(f"{ROOF}.")
    found = [
        (len(entry), number, entry)
        for number, line in enumerate(ORDER)
        for entry in line
        if inner == entry or inner.startswith(f"{entry}.")
    ]
    return None if not found else max(found)[1:]


def offences(module: str, source: str, package: bool = False) -> list[str]:
    """What a module does against the order, a line each."""
    found = []
    own = rank(module)
    for entry in imports(ast.parse(source), module, package):
        where, top = f"{module}:{entry.line}", entry.name.split(".")[0]
        heavy = top in NOT_AT_MODULE_LEVEL and MAY_LOAD.get(module) != top and "vision" not in module
        if heavy and entry.at_module_level and not entry.for_types:
            found.append(f"{where} imports {entry.name} when it is loaded")
        if top in ONLY_IN and not module.startswith(f"{ROOF}.{ONLY_IN[top]}"):
            found.append(f"{where} imports {entry.name}; only {ONLY_IN[top]} may")
        if top != ROOF or module == ROOF or entry.name in {ROOF, f"{ROOF}.__version__"}:
            continue
        target = rank(entry.name)
        if own is None or target is None:
            found.append(f"{where} imports {entry.name}; one of the two is not in ORDER")
        elif target[0] >= own[0] and target[1] != own[1]:
            found.append(f"{where} imports {entry.name}, which is not below it")
    return found


def modules() -> dict[str, tuple[Path, bool]]:
    """Every module of the package by name, with its file and whether it is a package."""
    found = {}
    for path in sorted((ROOT / ROOF).rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if package else parts)] = path, package
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_run_downward(module):
    path, package = modules()[module]
    assert offences(module, path.read_text(encoding="utf-8"), package) == []


def test_every_module_has_its_place():
    assert [name for name in modules() if name != ROOF and rank(name) is None] == []
    # and no place is without a module
    entries = {f"{ROOF}.{entry}" for line in ORDER for entry in line}
    assert entries <= set(modules())


def test_no_cycles():
    # the order does not speak about modules of one package
    graph = {}
    for module, (path, package) in modules().items():
        names = {entry.name for entry in imports(ast.parse(path.read_text(encoding="utf-8")), module, package)}
        known = {name if name in modules() else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in known & set(modules()) if name != ROOF and not module.startswith(f"{name}.")}
    done: set[str] = set()

    def walk(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " → ".join([*above, module])
        if module not in done:
            for name in sorted(graph[module]):
                walk(name, (*above, module))
            done.add(module)

    for module in graph:
        if module != ROOF:
            walk(module, ())
    assert len(done) > 40


@pytest.mark.parametrize(
    ("module", "source", "offence"),
    [
        ("noiseaug.regions.cube", "from noiseaug.tasks import Task", "not below"),
        ("noiseaug.regions.cube", "from noiseaug import tasks", "not below"),
        ("noiseaug.regions.cube", "import noiseaug.tasks.radial", "not below"),
        ("noiseaug.regions.cube", "from ..tasks import Task", "not below"),
        ("noiseaug.regions.cube", "def mass():\n    from noiseaug.tasks import Task", "not below"),
        ("noiseaug.regions.cube", "class Cube:\n    def mass(self):\n        import noiseaug.sweeps", "not below"),
        ("noiseaug.regions.cube", "if TYPE_CHECKING:\n    from noiseaug.tasks import Task", "not below"),
        ("noiseaug.regions.cube", "import noiseaug\nx = noiseaug.sweep", "not in ORDER"),
        ("noiseaug.regions.cube", "import noiseaug\nx = noiseaug.tasks.Intervals", "not below"),
        ("noiseaug.confidence", "from noiseaug._levelset import find_crossings", "not below"),
        ("noiseaug.newcomer", "from noiseaug.errors import NoiseaugError", "not in ORDER"),
        ("noiseaug.plotting", "import matplotlib.pyplot as plt", "when it is loaded"),
        ("noiseaug.plotting", "from seaborn import heatmap", "when it is loaded"),
        ("noiseaug.plotting", "try:\n    import seaborn\nexcept ImportError:\n    pass", "when it is loaded"),
        ("noiseaug.tasks.points", "def load():\n    import torch", "only vision"),
        ("noiseaug.tasks.points", "if TYPE_CHECKING:\n    from torch import Tensor", "only vision"),
    ],
)
def test_the_check_fires(module, source, offence):
    found = offences(module, source)
    assert len(found) == 1
    assert offence in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("noiseaug.regions.cube", "from noiseaug.regions._base import Region\nfrom noiseaug import _validate"),
        ("noiseaug.regions.cube", "from ._base import Region\nfrom .._numerics import FloatArray"),
        ("noiseaug.synthetic.runs", "import noiseaug\nversion = noiseaug.__version__"),
        ("noiseaug.plotting", "def new_figure():\n    import matplotlib.pyplot as plt"),
        ("noiseaug.plotting", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
    ],
)
def test_the_check_lets_good_code_pass(module, source):
    assert offences(module, source) == []


HEAVY = ("torch", "matplotlib", "seaborn", "pandas", "scipy", "sklearn", "joblib", "dask", "distributed")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import noiseaug; noiseaug.__version__; dir(noiseaug)", set()),
        ("import noiseaug.errors, noiseaug.estimates", set()),
        ("import noiseaug.cli, noiseaug.synthetic.cli", set()),
        ("import noiseaug.vision.cli", set()),
        ("import noiseaug.vision.data", {"scipy"}),
        ("import noiseaug.plotting", set()),
        ("from noiseaug import sweep, tasks, risk, predictors", {"scipy"}),
        ("from noiseaug.synthetic.presets import PRESETS", {"scipy"}),
    ],
)
def test_importing_stays_light(code, allowed):
    outcome = python("-c", f"{code}\nimport sys; print(*(name for name in {HEAVY} if name in sys.modules))")
    assert (outcome.status, outcome.err) == (0, "")
    assert set(outcome.out.split()) <= allowed


def test_the_roof_hands_out_its_parts():
    import noiseaug

    for name in noiseaug.__all__:
        assert getattr(noiseaug, name) is not None
    assert noiseaug.tasks.Intervals.__module__ == "noiseaug.tasks.line"
    assert {"sweep", "tasks", "risk", "predictors", "Estimate", "InvalidInputError"} <= set(dir(noiseaug))
    # what dir() promises is there
    for name in dir(noiseaug):
        assert getattr(noiseaug, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'augment'"):
        noiseaug.augment  # noqa: B018

"""Imports run downward, as the contracts in pyproject.toml say; importing the package stays light."""

from __future__ import annotations

import shutil

import pytest

from tests.helpers.running import HEAVY, ROOT, python

# In a folder with a pyproject.toml: are its contracts kept?
CHECK = """
import os, sys
os.chdir(sys.argv[1])
sys.path[:0] = [sys.argv[1]]
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True, no_logo=True))
"""


def test_imports_run_downward():
    pytest.importorskip("importlinter", reason="needs noiseaug[dev]")
    outcome = python("-c", CHECK, ROOT)
    assert outcome.status == 0, outcome.out


FORBIDDEN = {
    "regions.absolute": ("from noiseaug.tasks import Task", "-> noiseaug.tasks (l.1)"),
    "regions.relative": ("from ..tasks import Task", "-> noiseaug.tasks (l.1)"),
    "regions.late": ("def mass():\n    import noiseaug.tasks.radial", "-> noiseaug.tasks.radial (l.2)"),
    "regions.typed": ("if TYPE_CHECKING:\n    from noiseaug.tasks import Task", "-> noiseaug.tasks (l.2)"),
    "newcomer": ("", ""),  # in no layer
    "risk.counted": ("from noiseaug.votes import VoteCounter", "-> noiseaug.votes (l.1)"),
    "report.regional": ("from noiseaug.regions import Region", "-> noiseaug.regions (l.1)"),
    "tasks.nets": ("def load():\n    import torch", "-> torch (l.2)"),
    "vision.models.loop": ("from noiseaug.vision.training import Job", "-> noiseaug.vision.training (l.1)"),
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What the contracts say of a copy of the package with every forbidden import."""
    pytest.importorskip("importlinter", reason="needs noiseaug[dev]")
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "noiseaug", folder / "noiseaug", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for module, (source, _) in FORBIDDEN.items():
        path = folder / "noiseaug" / f"{module.replace('.', '/')}.py"
        assert not path.exists()
        path.write_text(source, encoding="utf-8")
    outcome = python("-c", CHECK, folder)
    assert outcome.status == 1
    assert outcome.out.count(" BROKEN") == 5
    return [" ".join(line.split()) for line in outcome.out.splitlines()]


@pytest.mark.parametrize("module", FORBIDDEN)
def test_the_check_fires(complaints, module):
    assert f"- noiseaug.{module} {FORBIDDEN[module][1]}".rstrip() in complaints


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import noiseaug; noiseaug.__version__; dir(noiseaug)", set()),
        ("import noiseaug.errors, noiseaug.estimates, noiseaug.validation", set()),
        ("import noiseaug.cli.root, noiseaug.cli.synthetic", set()),
        ("import noiseaug.cli.train", set()),
        ("import noiseaug.vision, noiseaug.vision.training.distributed; dir(noiseaug.vision)", set()),
        ("import noiseaug.records, noiseaug.certificates, noiseaug.votes; dir(noiseaug.records)", set()),
        ("import noiseaug.data.loading", set()),
        ("import noiseaug.plotting", set()),
        ("from noiseaug import sweep, tasks, risk, predictors", {"scipy"}),
        ("from noiseaug.synthetic.presets import PRESETS", {"scipy"}),
    ],
)
def test_importing_stays_light(code, allowed):
    outcome = python("-c", f"{code}\nimport sys; print(*(name for name in {HEAVY} if name in sys.modules))")
    assert (outcome.status, outcome.err) == (0, "")
    assert set(outcome.out.split()) <= allowed


EVERY_MODULE = """
import importlib, pkgutil, sys
import noiseaug
for found in pkgutil.walk_packages(noiseaug.__path__, "noiseaug."):
    if not found.name.startswith(("noiseaug.vision.", *sys.argv[1:])):
        importlib.import_module(found.name)
print(*sys.modules)
"""


def test_no_module_outside_vision_loads_a_heavy_one():
    # a scikit-learn estimator inherits from scikit-learn's, and an attack is on a network
    outcome = python("-c", EVERY_MODULE, "noiseaug.certification.estimator", "noiseaug.subjects.attack")
    assert (outcome.status, outcome.err) == (0, "")
    loaded = set(outcome.out.split())
    assert "noiseaug.bridge.interference" in loaded
    assert loaded & {*HEAVY, "tqdm"} <= {"scipy"}


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


PACKAGES = sorted(path.parent for path in (ROOT / "noiseaug").rglob("__init__.pyi"))
# each in a process that loads torch; the grid's uses all others
SLOW = [folder for folder in PACKAGES if folder.parent.name == "vision" and folder.name != "grid"]


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(each, id=str(each.relative_to(ROOT)), marks=[pytest.mark.slow] if each in SLOW else [])
        for each in PACKAGES
    ],
)
def test_packages_hand_out_what_they_promise(folder):
    if "vision" in folder.parts or folder.name == "subjects":  # which attacks networks
        pytest.importorskip("torch")
    name = ".".join(folder.relative_to(ROOT).parts)
    code = f"import {name} as found; assert found.__all__; [getattr(found, name) for name in found.__all__]"
    outcome = python("-c", code)
    assert (outcome.status, outcome.err) == (0, "")

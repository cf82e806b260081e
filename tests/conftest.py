"""What holds for all tests."""

from __future__ import annotations

from importlib.util import find_spec

WITHOUT_TORCH = find_spec("torch") is None
collect_ignore = ["vision", "cli/test_train.py"] if WITHOUT_TORCH else []


def pytest_report_header() -> list[str]:
    """Says what is left out, and why."""
    return ["tests of networks are left out: torch is not installed (the extra vision)"] if WITHOUT_TORCH else []

from __future__ import annotations

import pytest

from tests.helpers.library import Library


@pytest.fixture
def library(monkeypatch, tmp_path):
    monkeypatch.delenv("NOISEAUG_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Library(monkeypatch)


@pytest.fixture
def root(library, tmp_path):
    return library.fill(tmp_path / "root")

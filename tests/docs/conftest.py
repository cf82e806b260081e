"""Tables of figures, each computed once."""

from __future__ import annotations

import pytest

from paper_figs import find


@pytest.fixture(scope="session")
def table():
    """The small version of each figure's table, computed when it is first asked for."""
    known = {}

    def compute(name):
        if name not in known:
            known[name] = find(name).compute(True)
        return known[name]

    return compute

"""Numbers keep their digits, and what cannot be waited for or imported is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug import validation
from noiseaug.errors import InvalidInputError


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 + 1, 10**400, np.int64(2**53 + 1), np.uint64(2**64 - 1), 7.0])
def test_an_integer_keeps_every_digit(value):
    found = validation.integer("seed", value)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "seed is True; expected a number"),
        (0, "seed is 0; expected an integer of at least 1"),
        (1.5, "seed is 1.5; expected an integer of at least 1"),
        (-(2**70), "expected an integer of at least 1"),
        (2**70, "expected an integer of at most 100"),
        (10**500, "seed is a whole number of some 501 digits; expected an integer of at most 100"),
        (float("inf"), "expected a finite number"),
        ("1", "seed is '1'; expected a number"),
        (np.complex64(1), "expected a number"),
    ],
)
def test_what_is_no_integer(value, message):
    with pytest.raises(InvalidInputError) as caught:
        validation.integer("seed", value, at_most=100)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_number_beyond_a_double():
    with pytest.raises(InvalidInputError, match="of some 401 digits"):
        validation.number("x", 10**400)


def test_how_long_absurd_work_would_take():
    assert validation.affordable("n", 1000, 1000, 1e5, "votes") == 1000
    with pytest.raises(InvalidInputError) as caught:
        validation.affordable("n", 2**63 - 1, 10**9, 1e5, "votes")
    assert "at some 100000 votes a second they take 2.9 million years; expected at most 1000000000" in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"they take 3\.2 years"):
        validation.affordable("n", 10**13, 10**9, 1e5, "votes")
    with pytest.raises(InvalidInputError, match="million years"):
        validation.affordable("n", 10**600, 10**9, 1e5, "votes")


@pytest.mark.parametrize(
    ("reference", "body", "message"),
    [
        ("..:x", "", "otherwise"),
        (":y", "", "otherwise"),
        ("x:", "", "otherwise"),
        ("os:system", "", "os is the name of a module of Python itself"),
        ("builtins:input", "", "builtins is the name of a module of Python itself"),
        ("mine_a:f", "1 / 0", "cannot import mine_a: ZeroDivisionError: division by zero"),
        ("mine_b:f", "raise SystemExit(3)", "cannot import mine_b: SystemExit: 3"),
        ("mine_c:f", "f(", "cannot import mine_c"),
        ("mine_d:f", "", "mine_d has no f"),
        ("mine_e.part:f", "", "cannot import mine_e.part"),
    ],
)
def test_references_that_lead_nowhere(reference, body, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{reference.partition(':')[0].partition('.')[0] or 'x'}.py").write_text(body)
    with pytest.raises(InvalidInputError) as caught:
        validation.attribute(reference, "otherwise")
    assert str(caught.value).startswith(message)

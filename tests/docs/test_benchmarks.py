"""The benchmark command; the benchmarks themselves are no tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from benchmarks import BENCHMARKS, Row, load, scaling
from benchmarks.__main__ import line, machine, main
from benchmarks._fewest import fewest_votes
from benchmarks._populations import BUDGET, Population, populations
from benchmarks._stopping import Path, campaign, certified_at_n, path_of
from noiseaug.certificates import CertificationSetting, Cohen, MultiLook, VoteBudget
from noiseaug.literature import RADII, published


def test_benchmarks_register_themselves_and_unknown_names_are_refused(capsys):
    load()
    assert "figure4" in BENCHMARKS
    assert main(["nope"]) == 2
    assert "figure4" in capsys.readouterr().err
    assert "numpy" in machine()


def test_a_row_shows_its_ratio():
    text = line("name", Row("what", 0.5, 10.0, "15x", True))
    assert "20.0x" in text
    assert "met" in text
    assert "MISSED" in line("name", Row("what", 2.0, None, "under 1 s", False))


def test_only_a_failure_is_a_failure(monkeypatch, capsys):
    def broken(repeats):
        raise AssertionError("they differ")

    monkeypatch.setitem(BENCHMARKS, "slow", lambda repeats: [Row("what", 2.0, None, "under 1 s", False)])
    assert main(["slow"]) == 0
    assert "MISSED" in capsys.readouterr().out
    monkeypatch.setitem(BENCHMARKS, "broken", broken)
    assert main(["broken", "slow"]) == 1
    told = capsys.readouterr()
    assert "broken       FAILED" in told.out
    assert "MISSED" in told.out
    assert "they differ" in told.err


def test_scaling_takes_up_its_table(tmp_path, capsys, monkeypatch):
    """What the file holds is not measured again, and a curve ends before a point that takes too long."""
    made = []
    short = [
        scaling.Curve("rows", "straight", "a limit", (10, 100, 1000), made.append),
        scaling.Curve("draws", "long", "another", (10, 100), made.append),
    ]
    monkeypatch.setattr(scaling, "curves", lambda: short)
    out, picture = tmp_path / "scaling.csv", tmp_path / "scaling.png"
    out.write_text(
        "# a machine\nagainst,curve,size,seconds\nrows,straight,10,0.02\nrows,straight,100,0.2\ndraws,long,10,9\n"
    )
    assert scaling.main(["--out", str(out), "--picture", str(picture), "--seconds", "10"]) == 0
    assert set(made) == {1000}
    table = pd.read_csv(out, comment="#")
    assert table[["against", "size"]].values.tolist() == [["rows", 10], ["rows", 100], ["draws", 10], ["rows", 1000]]
    assert scaling.slopes(table.iloc[:2])["slope"].tolist() == [pytest.approx(1)]
    assert "| rows | straight |" in capsys.readouterr().out
    assert picture.exists()


def group(p):
    """Inputs that all have the same p_A."""
    return Population("", 0.5, 1.0, np.array([p]), np.array([1.0]))


@pytest.mark.parametrize("p", [0.3, 0.84, 0.9, 0.999])
def test_what_a_rule_costs_is_that_of_all_its_paths(p):
    """Against the law of the count at p itself, carried through every count."""
    path, margin = Path((20, 60, 150), (20, 57, 135), (12, 48, 134)), 1.0
    votes, certified, law, drawn = 0.0, 0.0, np.ones(1), 0
    for look, enough, few in zip(path.looks, path.certify, path.give_up, strict=True):
        law, drawn = np.convolve(law, stats.binom.pmf(np.arange(look - drawn + 1), look - drawn, p)), look
        counts = np.arange(look + 1)
        votes += look * law[(counts >= enough) | (counts <= few)].sum()
        certified += law[counts >= enough].sum()
        law[(counts >= enough) | (counts <= few)] = 0
    found = campaign(path, margin, group(p))
    assert (found.votes, found.certified) == pytest.approx((votes, certified), rel=1e-6)


def test_the_bars_of_a_rule_are_where_its_decisions_change():
    setting, rule = CertificationSetting(0.5, VoteBudget(500, 0.001)), MultiLook((0.3,))
    path = path_of(rule, setting, 0.3)
    assert path.looks == rule.looks(setting)
    for at, look in enumerate(path.looks):
        for hits in range(look + 1):
            counts = np.zeros((at + 1, 2), dtype=int)
            counts[at] = hits, look - hits
            decision = rule.decide(setting, 0, np.array([1, 0]), counts)
            assert (decision.certified and decision.radius >= 0.3) == (hits >= path.certify[at])
            assert decision.done == (hits >= path.certify[at] or hits <= path.give_up[at])


def test_a_rebuilt_population_has_its_curve():
    """n votes certify of it what was published, up to inputs at the very threshold."""
    population = next(each for each in populations() if each.name == "cifar10 σ=0.5")
    runs = published(
        data="cifar10", method="gaussian", smooth_sigma=0.5, train_sigma=0.5, images=10_000, paper="Salman"
    )
    for radius in RADII[:7]:
        known = runs[f"ca_{radius:g}"].iloc[0]
        assert population.right * certified_at_n(radius / 0.5, population) == pytest.approx(known, abs=3e-3)
    assert population.weights.sum() == pytest.approx(1)


def test_no_rule_needs_fewer_votes_than_the_bound():
    """For one p_A and no loss the bound is near Wald's; the fixed number and multi-look are above it."""
    population = group(0.88)
    margin, t = 1.0, special.ndtr(1.0)
    bound = fewest_votes(margin, population, 0.002)
    level, power = BUDGET.failure_prob, 0.998 * certified_at_n(margin, population)
    # E N ≥ kl(power, level) / kl(p, t), Wald 1945
    wald = special.rel_entr([power, 1 - power], [level, 1 - level]).sum()
    wald /= special.rel_entr([0.88, 0.12], [t, 1 - t]).sum()
    found = campaign(path_of(MultiLook((0.5,)), population.setting, 0.5), margin, population)
    assert 0.97 * wald < bound < 1.1 * wald
    assert bound < found.votes < BUDGET.votes
    with pytest.raises(ValueError, match="law is lost"):
        campaign(path_of(Cohen(), population.setting, 0.5), margin, population)

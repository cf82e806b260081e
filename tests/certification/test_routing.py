"""A level for each input: false certificates enumerated, and runs with a router from their votes to their logs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np
import pytest
from scipy import special

from noiseaug.certificates import (
    Certificate,
    CertificationSetting,
    Cohen,
    ConfidenceSequence,
    FullRadius,
    MultiLook,
    TCertify,
    VoteBudget,
)
from noiseaug.certificates.base import certified_radius
from noiseaug.certification import RoutedBase, certify, make_certifier, recertify, recertify_log
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome, merge_logs, read_log
from noiseaug.records.checking import routing_parts
from noiseaug.votes import Predictor, bound_uniform
from tests.certificates.test_soundness import multinomial_pmf, outcomes

# ---- how often a certificate is false, exactly

LEVEL, N0, VOTES = 0.05, 5, 30
BETAS = (0.4, 0.25, 0.8)  # of the router and of the two experts
SHARES = (0.2, 0.5, 0.55, 0.65, 0.75, 0.85, 0.95, 0.999)


@dataclass(frozen=True)
class Law:
    """What a rule says by its own code, for all votes that there can be: −1 where it abstains."""

    counts: np.ndarray  # after all votes, shape (cases, classes)
    ways: np.ndarray  # in how many orders of the looks and votes, shape (cases,)
    radii: np.ndarray

    def beyond(self, p: np.ndarray, truth: float) -> float:
        """P(certified, with a radius above the true one), where the classes have the probabilities p."""
        false = (self.radii >= 0) & (self.radii > truth)
        return float(self.ways[false] @ np.prod(p ** self.counts[false], axis=1))


@cache
def law(rule: Certificate, sigma: float, votes: int, classes: int, top: int = 0) -> Law:
    setting = CertificationSetting(sigma, VoteBudget(votes, LEVEL), classes)
    looks = rule.looks(setting)
    between = [all_counts(look - before, classes) for look, before in zip(looks, (0, *looks[:-1]), strict=True)]
    paths = [np.array(rows) for rows in itertools.product(*between)]
    selection = np.eye(classes, dtype=int)[top]
    radii = []
    for path in paths:
        counts = np.cumsum(path, axis=0)
        for last in range(1, len(looks) + 1):
            decision = rule.decide(setting, top, selection, counts[:last])
            if decision.done:
                break
        radii.append(decision.radius if decision.certified else -1.0)
    steps = np.array(paths)
    ways = np.prod(np.exp(special.gammaln(steps.sum(axis=2) + 1) - special.gammaln(steps + 1).sum(axis=2)), axis=1)
    cases, which = np.unique(np.column_stack([steps.sum(axis=1), radii]), axis=0, return_inverse=True)
    return Law(cases[:, :-1].astype(int), np.bincount(which.ravel(), weights=ways), cases[:, -1])


def all_counts(votes: int, classes: int) -> np.ndarray:
    if classes == 2:
        return np.stack([np.arange(votes + 1), votes - np.arange(votes + 1)], axis=1)
    return outcomes(votes)


def picks(p: np.ndarray) -> np.ndarray:
    """How often the selection sample picks each class."""
    counts = all_counts(N0, len(p))
    return np.bincount(np.argmax(counts, axis=1), weights=multinomial_pmf(counts, p), minlength=len(p))


def true_radius(sigma: float, p: np.ndarray, top: int) -> float:
    """(β/2)(Φ⁻¹(p_top) − Φ⁻¹(p_other)), which half-spaces attain; below 0 where another class is the largest."""
    return 0.5 * sigma * (special.ndtri(p[top]) - special.ndtri(np.delete(p, top).max()))


def false_certificates(router: Certificate, expert: Certificate, share: float, classes: list[np.ndarray]) -> float:
    """P(false) of a router that names the first level with this share of its votes, and experts at the two levels."""
    named, total = np.array([share, 1 - share]), 0.0
    for level, chosen in enumerate(picks(named)):
        for top, picked in enumerate(picks(classes[level])):
            own = true_radius(BETAS[0], named, level), true_radius(BETAS[1 + level], classes[level], top)
            # the smaller radius is false where both radii are above the smaller of the true ones
            both = law(router, BETAS[0], VOTES, 2).beyond(np.roll(named, -level), min(own))
            p = np.concatenate([[classes[level][top]], np.delete(classes[level], top)])
            both *= law(expert, BETAS[1 + level], VOTES, len(p)).beyond(p, min(own))
            total += chosen * picked * both
    return total


def two(share: float) -> np.ndarray:
    return np.array([share, 1 - share])


SHORT = {"votes": (10, 30), "shares": (0.3, 0.7)}
RULES = [Cohen(), MultiLook((0.1, 0.2), **SHORT), FullRadius(0.05, **SHORT), ConfidenceSequence(0.1), TCertify()]


@pytest.mark.parametrize(
    ("router", "expert"),
    [*((rule, rule) for rule in RULES), (Cohen(), RULES[2]), (RULES[1], Cohen()), (TCertify(), RULES[3])],
    ids=lambda rule: rule.name,
)
def test_router_and_expert_together_are_sound_without_a_split(router, expert):
    rates = [
        false_certificates(router, expert, share, [two(one), two(other)])
        for share, one, other in itertools.product(SHARES, repeat=3)
    ]
    assert max(rates) <= LEVEL
    assert max(rates) > 0.2 * LEVEL  # and they do not give everything away


@pytest.mark.parametrize("rule", [Cohen(), TCertify()], ids=lambda rule: rule.name)
def test_experts_of_three_classes_are_sound(rule):
    tops = [
        np.array(p) for p in ((0.5, 0.25, 0.25), (0.8, 0.1, 0.1), (0.45, 0.4, 0.15), (0.6, 0.4, 0), (0.3, 0.4, 0.3))
    ]
    rates = [
        false_certificates(rule, rule, share, [one, other])
        for share, one, other in itertools.product(SHARES, tops, tops)
    ]
    assert 0.2 * LEVEL < max(rates) <= LEVEL


def single(level: int, share: float, truth: float) -> float:
    return law(Cohen(), BETAS[level], VOTES, 2).beyond(two(share), truth)


def test_without_the_minimum_the_same_computation_fails():
    """The expert's radius alone, where the router's is much smaller."""
    named, certain = two(0.75), two(0.999)
    router, expert = true_radius(BETAS[0], named, 0), true_radius(BETAS[2], certain, 0)
    assert router < expert
    claimed = picks(named)[0] * single(0, 0.75, -1.0) * single(2, 0.999, router)
    assert claimed > 5 * LEVEL


def test_choosing_the_level_by_its_own_votes_fails_the_same_computation():
    """Both experts are asked, and the larger of their radii is claimed."""

    def rate(*shares: float) -> float:
        laws = [law(Cohen(), sigma, VOTES, 2) for sigma in BETAS[1:]]
        weights = [each.ways * np.prod(two(p) ** each.counts, axis=1) for each, p in zip(laws, shares, strict=True)]
        truths = [true_radius(sigma, two(p), 0) for sigma, p in zip(BETAS[1:], shares, strict=True)]
        one, other = laws[0].radii[:, None], laws[1].radii
        claimed, truth = np.maximum(one, other), np.where(one > other, *truths)
        return float((np.outer(*weights) * ((claimed >= 0) & (claimed > truth))).sum())

    assert max(rate(*shares) for shares in itertools.product(SHARES, repeat=2)) > LEVEL


def test_falling_back_on_all_experts_needs_a_split():
    """Where the router abstains, the smallest radius of experts that agree: true of every level, yet it costs."""

    def rate(share: float, one: float, other: float) -> float:
        named, radii = two(share), [true_radius(BETAS[1 + k], two(p), 0) for k, p in enumerate((one, other))]
        total = 0.0
        for level, p in enumerate((one, other)):
            own = true_radius(BETAS[0], named, level)
            certified = law(Cohen(), BETAS[0], VOTES, 2).beyond(np.roll(named, -level), -np.inf)
            first = law(Cohen(), BETAS[0], VOTES, 2).beyond(np.roll(named, -level), min(own, radii[level]))
            first *= single(1 + level, p, min(own, radii[level]))
            second = (1 - certified) * single(1, one, min(radii)) * single(2, other, min(radii))
            total += picks(named)[level] * (first + second)
        return total

    worst = max(rate(*shares) for shares in itertools.product((0.5, 0.51, 0.52, 0.55, *SHARES[3:]), repeat=3))
    assert LEVEL < worst <= 2 * LEVEL


# ---- runs


def base(function, classes=2) -> Predictor:
    return Predictor(lambda z: function(z).astype(int), None, classes)


ROUTER, FINE, COARSE = base(lambda z: z[:, 0] > 0), base(lambda z: z[:, 1] > 0), base(lambda z: np.abs(z[:, 1]) > 1)
ROUTED = RoutedBase(ROUTER, {0.5: COARSE, 0.25: FINE})
X = 2 * np.random.default_rng(0).normal(size=(24, 2))
X[:2] = (0.04, 1.0), (2.0, 1.0)  # at the border of the levels, and of the classes
Y = (X[:, 1] > 0).astype(int)
OPTIONS = {"smooth_sigma": 0.5, "n": 600, "labels": Y, "seed": 3}
NO_TIME = ["seconds"]


def test_the_smaller_radius_of_the_two_is_claimed_and_none_where_one_abstains():
    frame = certify(ROUTED, X, **OPTIONS)
    named = frame["level"] >= 0
    assert 0 < named.sum() < len(frame)
    assert (frame["prediction"][~named] == ABSTAIN).all()
    assert (frame["n"][~named] == 0).all()  # whose expert is not asked
    said = frame["prediction"] >= 0
    assert 0 < said.sum() < named.sum()
    assert (frame["radius"] == np.where(said, np.minimum(frame["router_radius"], frame["expert_radius"]), 0.0)).all()
    assert (frame["radius"][said] == frame["router_radius"][said]).any()
    assert (frame["radius"][said] == frame["expert_radius"][said]).any()
    assert (frame["router_n"] == 600).all()


def test_an_expert_votes_as_in_a_run_of_its_own():
    frame = certify(ROUTED, X, **OPTIONS)
    for level, (sigma, expert) in enumerate(ROUTED.experts.items()):
        mine = frame[frame["level"] == level]
        assert len(mine)
        own = certify(expert, X, **{**OPTIONS, "smooth_sigma": sigma}).loc[mine.index]
        assert own["counts"].tolist() == mine["counts"].tolist()
        assert (own["radius"] == mine["expert_radius"]).all()


def test_router_and_expert_share_no_noise():
    """Where they are the same classifier at the same level, their votes are still different ones."""
    same = RoutedBase(FINE, {0.25: FINE, 0.5: FINE})
    certifier = make_certifier(same, dim=2, smooth_sigma=0.25, n=600)
    (outcome,) = certifier.outcomes([(np.array([0.0, -0.2]), 0, 0)])
    assert outcome.router.prediction == 0  # whose level is the router's
    assert outcome.router.counts != outcome.counts
    assert outcome.router.selection != outcome.selection


def test_radii_lie_within_the_true_ones():
    """24 points at a failure probability of 1e-6 each, against the distance to all that changes the answer."""
    frame = certify(RoutedBase(ROUTER, {0.25: FINE, 0.5: FINE}), X, **{**OPTIONS, "failure_prob": 1e-6})
    said = (frame["prediction"] >= 0).to_numpy()
    # at both levels the experts are half-spaces: the level may change without a change of the class
    assert (frame["radius"][said] <= np.minimum(np.abs(X[:, 0]), np.abs(X[:, 1]))[said]).all()


RULE = MultiLook((0.1, 0.2))


def test_a_log_is_resumed_and_certified_anew(tmp_path):
    path = tmp_path / "run.jsonl"
    whole = certify(ROUTED, X, **OPTIONS)
    calls = itertools.count()

    def dying(z):
        if next(calls) > 6:
            raise KeyboardInterrupt
        return ROUTER.predict(z)

    with pytest.raises(KeyboardInterrupt):
        certify(RoutedBase(Predictor(dying, None, 2), ROUTED.experts), X, log=path, **OPTIONS)
    with pytest.raises(InvalidInputError, match="router"):
        certify(RoutedBase(ROUTER, ROUTED.experts, n=500), X, log=path, resume=True, **OPTIONS)
    resumed = certify(ROUTED, X, log=path, resume=True, **OPTIONS)
    assert resumed.drop(columns=NO_TIME).equals(whole.drop(columns=NO_TIME))
    _, read = read_log(path)
    assert read.equals(resumed)
    for name, rule, router, level in (
        ("a", RULE, Cohen(), 1e-3),
        ("b", Cohen(), None, 1e-4),
        ("c", Cohen(), RULE, 1e-3),
    ):
        again = recertify_log(path, tmp_path / name, rule, level, router_certificate=router)
        fresh = certify(
            RoutedBase(ROUTER, ROUTED.experts, certificate=router),
            X,
            **{**OPTIONS, "certificate": rule, "failure_prob": level},
        )
        assert again.drop(columns=NO_TIME).equals(fresh.drop(columns=NO_TIME))
        assert read_log(tmp_path / name)[1].equals(again)
    with pytest.raises(InvalidInputError, match="the expert has no votes"):
        recertify_log(path, tmp_path / "d", Cohen(), 0.4)
    with pytest.raises(InvalidInputError, match="recertify_log"):
        recertify(read, CertificationSetting(0.5, VoteBudget(600, 1e-3)), Cohen())


def test_randomised_bounds_have_a_u_for_the_router_and_one_for_the_expert(tmp_path):
    plain, path, back = tmp_path / "plain.jsonl", tmp_path / "random.jsonl", tmp_path / "back.jsonl"
    certify(ROUTED, X, log=plain, **OPTIONS)
    fresh = certify(ROUTED, X, log=path, randomised=True, **OPTIONS)
    description, _ = read_log(path)
    assert description["randomised"] is True
    router, experts = routing_parts(description)
    read = [Outcome.from_line(line, "here") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    for outcome in read:
        drawn = bound_uniform("gaussian", router["smooth_sigma"], router["seed"], outcome.index)
        assert outcome.router.uniform == drawn
        level = outcome.router.prediction
        expected = None
        if level != ABSTAIN:
            expected = bound_uniform("gaussian", experts[level]["smooth_sigma"], experts[level]["seed"], outcome.index)
        assert outcome.uniform == expected != drawn
    anew = recertify_log(path, back, Cohen(), randomised=False)
    assert anew.drop(columns=NO_TIME).equals(read_log(plain)[1].drop(columns=NO_TIME))
    assert "randomised" not in back.read_text(encoding="utf-8")
    assert (fresh["router_radius"] >= anew["router_radius"]).all()
    assert (fresh["router_radius"] > anew["router_radius"]).any()
    made, outcome = path.read_text(encoding="utf-8"), next(each for each in read if each.n)
    for own in (outcome.router.uniform, outcome.uniform):
        path.write_text(made.replace(f'"uniform":{own}', '"uniform":0.5', 1), encoding="utf-8")
        with pytest.raises(InvalidInputError, match=r"its uniform is 0\.5"):
            read_log(path)


@pytest.mark.parametrize("randomised", [False, True])
def test_experts_may_have_many_classes(tmp_path, randomised):
    """More than 64: their counts are kept and stored without zeros, those of the levels as they are."""
    many = base(lambda z: 50 + np.sign(z[:, 1]).astype(int), 100)
    options = {**OPTIONS, "num_classes": 100, "labels": None, "randomised": randomised}
    frame = certify(RoutedBase(ROUTER, {0.25: many, 0.5: many}), X, log=tmp_path / "run.jsonl", **options)
    assert {-1, 0, 1} == set(frame["level"])
    assert read_log(tmp_path / "run.jsonl")[1].equals(frame)
    again = recertify_log(tmp_path / "run.jsonl", tmp_path / "again.jsonl", Cohen())
    assert again.drop(columns=NO_TIME).equals(frame.drop(columns=NO_TIME))


def test_shards_of_a_run_are_merged(tmp_path):
    paths = []
    for shard in range(2):
        chosen = np.arange(shard, len(X), 2)
        paths.append(tmp_path / f"{shard}.jsonl")
        options = {**OPTIONS, "labels": Y[chosen], "indices": chosen, "log": paths[-1]}
        certify(ROUTED, X[chosen], description={"shard": f"{shard}/2", "inputs": len(chosen)}, **options)
    merge_logs(paths, tmp_path / "whole.jsonl")
    _, merged = read_log(tmp_path / "whole.jsonl")
    assert merged.drop(columns=NO_TIME).equals(certify(ROUTED, X, **OPTIONS).drop(columns=NO_TIME))


def test_packed_votes_change_nothing(monkeypatch):
    whole = certify(ROUTED, X, **OPTIONS)
    monkeypatch.setattr("noiseaug.certification.routing.round_votes", lambda counter: 1)
    assert certify(ROUTED, X, **OPTIONS).drop(columns=NO_TIME).equals(whole.drop(columns=NO_TIME))


def swapped(outcome: Outcome) -> Outcome:
    """The claim of the expert alone, which ignores the router's radius."""
    assert outcome.router is not None
    changed = msgspec.structs.replace(outcome.router, radius=outcome.router.radius + 1)
    return msgspec.structs.replace(outcome, router=changed, radius=outcome.expert_radius)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped, "router: prediction"),
        (lambda o: msgspec.structs.replace(o, router=None, expert_radius=None), "no votes of the router"),
        (
            lambda o: msgspec.structs.replace(o, radius=o.expert_radius / 2, expert_radius=o.expert_radius / 2),
            "its votes",
        ),
    ],
)
def test_a_log_that_claims_too_much_is_refused(tmp_path, change, words):
    path = tmp_path / "run.jsonl"
    certify(ROUTED, X, log=path, **OPTIONS)
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    place, found = next(
        (place, outcome)
        for place, outcome in enumerate(Outcome.from_line(line, "here") for line in lines)
        if outcome.router is not None and 0 < outcome.router.radius < (outcome.expert_radius or 0)
    )
    lines[place] = change(found).line()
    path.write_text("\n".join([first, *lines]) + "\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=words):
        read_log(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"radius": 9.0},
        {"expert_radius": None},
        {"expert_radius": -1.0},
        {"router": Outcome(7, -1, 0, 9.0, (9, 1), (10,), ((9, 1),), 0.0)},
        {"router": Outcome(0, -1, ABSTAIN, 0.0, (9, 1), (10,), ((9, 1),), 0.0)},
    ],
)
def test_parts_that_contradict_one_another(changes):
    router, expert = (Outcome(0, -1, 0, radius, (9, 1), (10,), ((9, 1),), 0.0) for radius in (0.3, 0.4))
    made = Outcome.routed(router, expert, -1, 2)
    assert (made.radius, made.expert) == (0.3, expert)
    assert Outcome.from_line(made.line(), "here") == made
    with pytest.raises(InvalidInputError, match="input 0"):
        msgspec.structs.replace(made, **changes)


def test_where_the_router_abstains_nothing_is_of_an_expert():
    made = Outcome.routed(Outcome(0, -1, ABSTAIN, 0.0, (9, 1), (10,), ((9, 1),), 0.0), None, -1, 2)
    assert (made.expert, made.uniform, made.expert_radius) == (None, None, 0.0)
    for changes in ({"uniform": 0.5}, {"looks": (10,), "counts": ((9, 1),)}):
        with pytest.raises(InvalidInputError, match="votes of an expert"):
            msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RoutedBase(ROUTER, {0.5: FINE}), "among 2 to 64 levels"),
        (lambda: RoutedBase(ROUTER, {1 + k / 64: FINE for k in range(65)}), "65 experts"),
        (lambda: RoutedBase(ROUTER, {0.0: FINE, 0.5: FINE}), "level of an expert"),
        (lambda: RoutedBase(base(lambda z: z[:, 0], 3), {0.25: FINE, 0.5: FINE}), "expected 2, one for each level"),
        (lambda: RoutedBase(ROUTER, {0.25: FINE, 0.5: base(lambda z: z[:, 0], 3)}), "different classes"),
    ],
)
def test_bad_routers_and_experts(make, words):
    with pytest.raises(InvalidInputError, match=words):
        certify(make(), X, **OPTIONS)


def test_the_limit_of_a_router_bounds_what_is_certified():
    """A router with few votes caps every radius at what those can certify."""
    x = np.full((1, 2), 9.0)
    frame = certify(RoutedBase(ROUTER, ROUTED.experts, n=50), x, **{**OPTIONS, "labels": [1], "n": 5000})
    cap = certified_radius(CertificationSetting(0.5, VoteBudget(50, 1e-3)), 0.001 ** (1 / 50))
    assert frame["radius"][0] == pytest.approx(cap, rel=1e-9)
    assert frame["expert_radius"][0] > cap

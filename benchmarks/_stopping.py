"""What a stopping rule costs and certifies on a population, computed exactly: no votes are drawn.

At one target radius a rule is two bars for each look: certify from so many votes for the class on, give up at so many
or fewer. The law of the count is carried from look to look at p_A = t, where the radius is just out of reach. Where a
path stops depends on its last count alone, so at any other p the law of the stops is the law at t times the likelihood
ratio of that count, and a population's is that times the mean of these ratios.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import interpolate, special

from benchmarks._populations import BUDGET, Population
from noiseaug.certificates import Certificate, CertificationSetting, Decision
from noiseaug.confidence import minimum_votes

__all__ = ["Campaign", "Path", "binomial", "campaign", "certified_at_n", "log_odds", "path_of"]

_KNOTS = 120  # of the splines for log odds, which are smooth in the count


@dataclass(frozen=True)
class Path:
    """A rule at one target radius.

    Attributes:
        looks: numbers of votes, increasing.
        certify: at each look the fewest votes for the class that certify the target.
        give_up: at each look the most votes for the class that end the run without it.
    """

    looks: tuple[int, ...]
    certify: tuple[int, ...]
    give_up: tuple[int, ...]


@dataclass(frozen=True)
class Campaign:
    """A rule on a population: mean votes, the share certified, and the probability of a false certificate at t."""

    votes: float
    certified: float
    false: float


def path_of(rule: Certificate, setting: CertificationSetting, radius: float) -> Path:
    """The bars of a rule that looks at one radius, from its own decisions: bisection at each look."""
    looks = rule.looks(setting)
    certify, give_up = [], []
    for at, look in enumerate(looks):
        counts = np.zeros((at + 1, 2), dtype=np.int64)
        counts[:, 1] = looks[: at + 1]

        def decision(hits: int, counts: np.ndarray = counts, look: int = look) -> Decision:
            counts[-1] = hits, look - hits
            return rule.decide(setting, 0, np.array([1, 0]), counts)

        low, enough = -1, look + 1
        while enough - low > 1:
            middle = (low + enough) // 2
            found = decision(middle)
            low, enough = (low, middle) if found.certified and found.radius >= radius else (middle, enough)
        low, going = -1, enough
        while going - low > 1:
            middle = (low + going) // 2
            low, going = (middle, going) if decision(middle).done else (low, middle)
        certify.append(enough)
        give_up.append(low)
    return Path(looks, tuple(certify), tuple(give_up))


def binomial(n: int, p: float) -> tuple[int, np.ndarray]:
    """The law of Bin(n, p) without its ends of some 1e−60: the first count, and the probabilities from there on."""
    reach = 17 * np.sqrt(n * p * (1 - p)) + 60
    k = np.arange(max(int(n * p - reach), 0), min(int(n * p + reach), n) + 1)
    logs = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return int(k[0]), np.exp(logs + special.xlogy(k, p) + special.xlog1py(n - k, -p))


def log_odds(look: int, counts: np.ndarray, t: float, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ln of the weighted mean over p of the likelihood of each count after ``look`` votes, over that at t."""
    if not len(p):
        return np.full(len(counts), -np.inf)
    few = counts
    if len(counts) > _KNOTS:
        # denser at the ends, where log odds may bend
        few = counts[0] + (counts[-1] - counts[0]) * 0.5 * (1 - np.cos(np.pi * np.linspace(0, 1, _KNOTS)))
    each = np.outer(few, np.log(p / t)) + np.outer(look - few, np.log((1 - p) / (1 - t)))
    most = each.max(axis=1)
    found = most + np.log(np.exp(each - most[:, None]) @ weights)
    return found if few is counts else np.asarray(interpolate.CubicSpline(few, found)(counts))


def _stops(path: Path, t: float) -> Iterator[tuple[int, np.ndarray, np.ndarray, bool]]:
    """Where paths end: look, counts, their probabilities at t, whether certified."""
    alive, first, drawn = np.ones(1), 0, 0
    for look, certify, give_up in zip(path.looks, path.certify, path.give_up, strict=True):
        shift, law = binomial(look - drawn, t)
        alive, first, drawn = np.convolve(alive, law), first + shift, look
        counts = first + np.arange(len(alive))
        above, below = counts >= certify, counts <= give_up
        for ends, certified in ((above, True), (below, False)):
            if (alive[ends] > 0).any():
                positive = ends & (alive > 0)
                yield look, counts[positive], alive[positive], certified
        going = ~(above | below)
        if not going.any():
            return
        alive, first = alive[going], int(counts[going][0])


def campaign(path: Path, margin: float, population: Population) -> Campaign:
    """What a rule costs and certifies.

    Args:
        path: of the rule at radius r.
        margin: r/β.
        population: of the inputs.

    Raises:
        ValueError: for a rule that keeps inputs far from t for so long that their law cannot be carried at t.
    """
    t = float(special.ndtr(margin))
    population = population.coarse_away_from(t)
    votes = certified = false = ended = 0.0
    for look, counts, chances, success in _stops(path, t):
        odds = log_odds(look, counts, t, population.probabilities, population.weights)
        mass = float(np.exp(np.log(chances) + odds).sum())
        votes, ended = votes + look * mass, ended + mass
        if success:
            certified += mass
            false += float(chances.sum())
    if abs(ended - 1) > 1e-4:
        raise ValueError(f"{1 - ended:.2g} of the inputs end where their law is lost")
    return Campaign(votes, certified, false)


def certified_at_n(margin: float, population: Population) -> float:
    """The share that the fixed number of votes certifies (Cohen et al. 2019)."""
    needed = int(minimum_votes(BUDGET.votes, margin, BUDGET.failure_prob))
    return float(population.weights @ special.betainc(needed, BUDGET.votes - needed + 1, population.probabilities))

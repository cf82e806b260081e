"""The fewest votes that any rule needs: a lower bound, by dynamic programming.

A rule is any stopping time with a decision. It is valid if it certifies an input at p_A = t with probability at most a.
Let it know the population and certify, in the mean, all but a share ``loss`` of what n votes certify. Then for any
prices λ, μ ≥ 0 its mean votes are at least

    min over all rules of (votes − λ certified + μ false) + λ (1 − loss) certified by n votes − μ a,

where "certified" counts inputs with p_A ≥ t and "false" is the probability of a certificate at t. The minimum is a
Bayesian stopping problem, solved backwards from n votes; the prices are those with the largest bound. The best rule is
then a generalised sequential probability ratio test of the population against t (Wald 1945, Kiefer & Weiss 1957).

The problem is solved for rules that look after each of the first 200 votes and then every two per cent. A rule that may
stop anywhere becomes one of these by waiting for the next look, which costs two per cent at most, and the bound is
lowered by as much.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import optimize, special

from benchmarks._populations import BUDGET, Population
from benchmarks._stopping import binomial, certified_at_n, log_odds

__all__ = ["fewest_votes"]

_STEP = 1.02
_REACH = 9.0  # standard deviations around n t in which anything is undecided


def _looks() -> list[int]:
    looks = list(range(1, 201))
    while looks[-1] < BUDGET.votes:
        looks.append(min(int(_STEP * (looks[-1] + 1)), BUDGET.votes))
    return looks


class _Problem:
    """The stopping problem at one threshold, for any prices; all values are over the likelihood at t."""

    def __init__(self, t: float, population: Population) -> None:
        self.looks, self.t = _looks(), t
        population = population.coarse_away_from(t)
        p, weights = population.probabilities, population.weights
        self.windows: list[
            tuple[int, np.ndarray, np.ndarray]
        ] = []  # first count; odds of all inputs, and of those in reach
        for look in self.looks:
            spread = _REACH * (np.sqrt(look * t * (1 - t)) + 1)
            low, high = max(int(look * t - spread), 0), min(int(look * t + spread) + 1, look)
            counts = np.arange(low, high + 1)
            odds = [np.exp(log_odds(look, counts, t, p[part], weights[part])) for part in (p < t, p >= t)]
            self.windows.append((low, odds[0] + odds[1], odds[1]))
        self.steps = [binomial(after - before, t) for before, after in itertools.pairwise(self.looks)]

    def solved(self, gain: float, price: float) -> np.ndarray:
        """Votes, certified and false of the rule with the least ``votes − gain certified + price false``."""
        cost = np.array([1.0, -gain, price])
        after = np.empty((3, 0))
        for at in reversed(range(len(self.looks))):
            low, odds, reached = self.windows[at]
            sure = price < gain * reached
            best = np.stack([np.zeros(len(odds)), sure * reached, sure])
            if at < len(self.looks) - 1:
                shift, step = self.steps[at]
                # counts from which every next one lies in the next window; from the others it is best to stop
                begin = self.windows[at + 1][0] - shift
                end = begin + after.shape[1] - len(step) + 1
                kept = slice(max(begin, low) - low, min(end, low + len(odds)) - low)
                taken = slice(low + kept.start - begin, low + kept.stop - begin)
                going = np.stack([np.correlate(each, step, "valid")[taken] for each in after])
                going[0] += (self.looks[at + 1] - self.looks[at]) * odds[kept]
                best[:, kept] = np.where(cost @ going < cost @ best[:, kept], going, best[:, kept])
            after = best
        # before the first vote
        chance = np.array([1 - self.t, self.t])
        return np.asarray(after @ chance + [1.0, 0.0, 0.0])


def fewest_votes(margin: float, population: Population, loss: float) -> float:
    """A lower bound on the mean votes of every valid rule that certifies all but ``loss`` of what n votes certify.

    Args:
        margin: r/β.
        population: of the inputs, which the rule may know.
        loss: share of the certified that it may lose.
    """
    problem = _Problem(float(special.ndtr(margin)), population)
    kept = (1 - loss) * certified_at_n(margin, population)

    def negative(logs: np.ndarray) -> tuple[float, np.ndarray]:
        gain, price = np.exp(logs)
        votes, certified, false = problem.solved(gain, price)
        slack = np.array([kept - certified, false - BUDGET.failure_prob])
        prices = np.array([gain, price])
        return -float(votes + prices @ slack), -prices * slack

    found = optimize.minimize(negative, np.log([3e5, 2e5]), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    return -float(found.fun) / _STEP

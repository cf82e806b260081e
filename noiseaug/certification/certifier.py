"""Certifying inputs one after another, or many at a time where their votes fill one another's batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from noiseaug.certificates import STANDARD_LOOKS, Certificate, CertificationSetting, Cohen, Decision, VoteBudget
from noiseaug.confidence import check_failure_prob
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome
from noiseaug.votes import Counter, Stream, bound_uniform, make_counter, make_noise, round_votes, take_together

__all__ = ["Certifier", "describe_rule", "paid"]

Request = tuple[Stream, int]


@dataclass(frozen=True)
class Certifier:
    """A base classifier with all that determines its certificates.

    Attributes:
        counter: draws noise and counts votes.
        setting: smoothing level, votes, failure probability.
        certificate: the rule.
        noise_error: what the noise's law is off by in all; ``setting`` has paid for it.
        noise: name of the noise's law.
        seed: of the votes.
        randomised: whether bounds are randomised, each input with a U of its own.
    """

    counter: Counter
    setting: CertificationSetting
    certificate: Certificate
    noise_error: float = 0.0
    noise: str = "gaussian"
    seed: int = 0
    randomised: bool = False

    def __post_init__(self) -> None:
        self.certificate.check(self.setting)

    @classmethod
    def make(
        cls,
        base: Any,
        *,
        dim: int,
        smooth_sigma: float,
        n: int = 100_000,
        n0: int = 100,
        failure_prob: float = 1e-3,
        certificate: Certificate | None = None,
        randomised: bool = False,
        noise: str = "gaussian",
        num_classes: int | None = None,
        seed: int = 0,
        batch: int | None = None,
    ) -> Certifier:
        """The certifier of a base classifier; arguments as for :func:`noiseaug.certification.certify`.

        Args:
            base: the classifier.
            dim: number of coordinates of an input.
            smooth_sigma: β > 0, in input units.
            n: votes for an input at most.
            n0: votes of the selection sample.
            failure_prob: probability that a certificate is wrong, at most.
            certificate: the rule; :class:`~noiseaug.certificates.Cohen` by default.
            randomised: as there.
            noise: ``"gaussian"`` or ``"discrete"``.
            num_classes: number of classes, where the classifier does not know it.
            seed: of the votes.
            batch: noisy copies classified at a time; by default what suits the engine.

        Raises:
            InvalidInputError: for numbers out of range.
        """
        budget, model = VoteBudget(n, failure_prob, n0), make_noise(noise, smooth_sigma)
        CertificationSetting(smooth_sigma, budget)  # before the network is made ready
        counter = make_counter(base, noise=model, num_classes=num_classes, seed=seed, batch=batch)
        # what the noise is off by is paid from the failure probability
        error = model.distribution_error(dim, budget.votes + budget.n0)
        budget = replace(budget, failure_prob=paid(failure_prob, error))
        setting = CertificationSetting(smooth_sigma, budget, counter.num_classes)
        return cls(counter, setting, certificate or Cohen(), error, noise, seed, randomised)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.setting.num_classes

    @property
    def classes(self) -> np.ndarray | None:
        """The classifier's own label of each class, or None where these are numbers from 0."""
        classes: np.ndarray | None = getattr(getattr(self.counter, "predictor", None), "classes", None)
        return classes

    def description(self, x: Any = None) -> dict[str, Any]:
        """What determines the votes and the certificates, as plain values; an input ``x`` adds how they are counted."""
        return {
            "smooth_sigma": self.setting.smooth_sigma,
            "noise": self.noise,
            "seed": self.seed,
            "n": self.setting.votes,
            "n0": self.setting.budget.n0,
            "failure_prob": self.setting.failure_prob + self.noise_error,
            "noise_error": self.noise_error,
            "num_classes": self.setting.num_classes,
            "certificate": describe_rule(self.certificate),
            **({"randomised": True} if self.randomised else {}),
            **self.counter.description(x),
        }

    def outcomes(self, inputs: Iterable[tuple[np.ndarray, int, int]]) -> Iterator[Outcome]:
        """Certifies inputs of any shape, given with index and label, in their order.

        Where the counter gains by it, votes of many inputs are asked for at once. Outcomes are the same; their seconds
        are shares of the time by votes.
        """
        waiting = iter(inputs)
        cases: deque[_Case] = deque()  # begun and not yielded
        while True:
            begun = time.perf_counter()
            asking = [case for case in cases if case.outcome is None]
            asked = sum(case.votes for case in asking)
            while not asking or asked < round_votes(self.counter):
                given = next(waiting, None)
                if given is None:
                    break
                cases.append(_Case(self._steps(*given)))
                asking.append(cases[-1])
                asked += cases[-1].votes
            if not asking:
                return
            asking = _first(asking, round_votes(self.counter))
            sizes = [case.votes for case in asking]
            counts = iter(take_together(self.counter, [request for case in asking for request in case.requests]))
            for case in asking:
                case.go_on([next(counts) for _ in case.requests])
            spent = time.perf_counter() - begun
            for case, size in zip(asking, sizes, strict=True):
                case.seconds += spent * size / sum(sizes)
            while cases and (outcome := cases[0].outcome) is not None:
                yield msgspec.structs.replace(outcome, seconds=cases.popleft().seconds)

    def _steps(self, x: np.ndarray, index: int, label: int) -> Generator[list[Request], list[np.ndarray], Outcome]:
        """An input as a conversation: it asks for votes, is sent their counts, and ends with its outcome."""
        stream = self.counter.stream(x, index, "estimation")
        wanted = self.certificate.looks(self.setting)
        uniform = self._uniform(index)
        setting = replace(self.setting, uniform=uniform or 0.0)
        selection = total = np.zeros(self.setting.num_classes, dtype=np.int64)
        top, decision = 0, Decision(False, 0.0, False)
        kept: list[int] = []
        counts: list[tuple[int, ...]] = []
        seen: list[np.ndarray] = []
        requests: list[Request] = [(self.counter.stream(x, index, "selection"), self.setting.budget.n0)]
        # the standard looks are kept besides the rule's own, so that stored votes can be certified anew
        for look in sorted({*wanted, *(k for k in STANDARD_LOOKS if k < self.setting.votes)}):
            requests.append((stream, look - (kept[-1] if kept else 0)))
            kept.append(look)
            if look not in wanted:
                continue
            # all that no decision comes before is asked for at once
            found = yield requests
            if not seen:
                selection, top = found[0], int(np.argmax(found[0]))
                found = found[1:]
            for more in found:
                total = total + more
                counts.append(tuple(int(k) for k in total))
            seen.append(total)
            requests = []
            decision = self.certificate.decide(setting, top, selection, np.array(seen))
            if decision.done:
                break
        return Outcome(
            index=index,
            label=label,
            prediction=top if decision.certified else ABSTAIN,
            radius=decision.radius,
            selection=tuple(int(k) for k in selection),
            looks=tuple(kept[: len(counts)]),
            counts=tuple(counts),
            seconds=0.0,
            uniform=uniform,
        )

    def _uniform(self, index: int) -> float | None:
        """U of an input; None without randomised bounds."""
        return bound_uniform(self.noise, self.setting.smooth_sigma, self.seed, index) if self.randomised else None


def paid(failure_prob: float, error: float) -> float:
    """The failure probability less what the noise's law is off by."""
    level = check_failure_prob("failure_prob", failure_prob) - error
    if level <= 0:
        raise InvalidInputError(f"failure_prob is {failure_prob:g}, below the error {error:.2g} of the noise's law")
    return level


def describe_rule(certificate: Certificate) -> dict[str, Any]:
    """A rule as plain values."""
    parameters = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(certificate).items()}
    return {"name": certificate.name, **parameters}


class _Case:
    """An input that is being certified.

    Attributes:
        requests: what it asks for.
        outcome: what came out; None as long as it asks.
        seconds: spent on it.
    """

    def __init__(self, steps: Generator[list[Request], list[np.ndarray], Outcome]) -> None:
        self._steps = steps
        self.requests = next(steps)
        self.outcome: Outcome | None = None
        self.seconds = 0.0

    @property
    def votes(self) -> int:
        """How many it asks for."""
        return sum(votes for _, votes in self.requests)

    def go_on(self, counts: list[np.ndarray]) -> None:
        """Answers its requests."""
        try:
            self.requests = self._steps.send(counts)
        except StopIteration as end:
            self.outcome = end.value


def _first(cases: list[_Case], room: int) -> list[_Case]:
    """The oldest that fill a round, one at least: what was begun first ends first."""
    total = 0
    for number, case in enumerate(cases, start=1):
        total += case.votes
        if total >= room:
            return cases[:number]
    return cases

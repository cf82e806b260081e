"""A smoothing level for each input: a router names it, and the expert at that level classifies (docs/math.md 4.10)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from noiseaug import validation
from noiseaug.certificates import Certificate
from noiseaug.certification.certifier import Certifier
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome
from noiseaug.records.tally import MANY
from noiseaug.votes import round_votes

__all__ = ["AnyCertifier", "RoutedBase", "RoutedCertifier", "make_certifier"]

_TOGETHER = 64  # inputs certified at a time where votes of many fill a batch; an interruption loses those under way


@dataclass(frozen=True, eq=False)
class RoutedBase:
    """A router and the experts that it chooses from (Sun, Mao & Vechev 2026, arXiv 2512.01782).

    The classifier that is certified names a level for x with the smoothed router, and answers with the expert smoothed
    at that level. For :func:`noiseaug.certification.certify` it is a base like any other; ``smooth_sigma`` is then the
    level at which the router is smoothed, and ``certificate``, ``n``, ``n0`` and ``failure_prob`` hold for the router
    and for the expert alike. Each has the whole failure probability: nothing needs to be split.

    Attributes:
        router: a classifier whose classes 0, 1, … are the levels in increasing order.
        experts: the base classifier at each smoothing level β > 0, 2 to 64; all have the same classes.
        certificate: the router's rule, where it is another than the experts'.
        n: the router's votes for an input at most, where they are others than the experts'.

    Raises:
        InvalidInputError: for fewer than two experts or more than 64, or levels that are not positive.
    """

    router: Any
    experts: Mapping[float, Any]
    certificate: Certificate | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        levels = {validation.positive("level of an expert", level): base for level, base in self.experts.items()}
        if not 2 <= len(levels) <= MANY:
            raise InvalidInputError(f"{len(levels)} experts; a router chooses among 2 to {MANY} levels")
        object.__setattr__(self, "experts", {level: levels[level] for level in sorted(levels)})


@dataclass(frozen=True)
class RoutedCertifier:
    """The counterpart of :class:`Certifier` for a :class:`RoutedBase`.

    Attributes:
        router: certifies the level.
        experts: certifies the class, for each level.
    """

    router: Certifier
    experts: tuple[Certifier, ...]

    def __post_init__(self) -> None:
        levels = [expert.setting.smooth_sigma for expert in self.experts]
        named = self.router.classes
        if self.router.num_classes != len(levels) or (named is not None and named.tolist() != levels):
            given = self.router.num_classes if named is None else named.tolist()
            raise InvalidInputError(
                f"the router has classes {given}; expected {len(levels)}, one for each level of the experts"
            )
        known = [range(each.num_classes) if each.classes is None else each.classes.tolist() for each in self.experts]
        if any(list(classes) != list(known[0]) for classes in known):
            raise InvalidInputError("the experts have different classes; expected the same for all")

    @classmethod
    def make(
        cls,
        base: RoutedBase,
        *,
        smooth_sigma: float,
        n: int = 100_000,
        certificate: Certificate | None = None,
        num_classes: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> RoutedCertifier:
        """Arguments as for :meth:`Certifier.make`; ``smooth_sigma`` is the router's."""
        experts = [
            Certifier.make(
                expert,
                smooth_sigma=level,
                n=n,
                certificate=certificate,
                num_classes=num_classes,
                seed=seed,
                **options,
            )
            for level, expert in base.experts.items()
        ]
        router = Certifier.make(
            base.router,
            smooth_sigma=smooth_sigma,
            n=n if base.n is None else base.n,
            certificate=base.certificate or certificate,
            num_classes=None if _knows_its_classes(base.router) else len(experts),
            seed=_router_seed(seed),
            **options,
        )
        return cls(router, tuple(experts))

    @property
    def num_classes(self) -> int:
        """Number of the experts' classes."""
        return self.experts[0].num_classes

    @property
    def classes(self) -> np.ndarray | None:
        """As :attr:`Certifier.classes`, of the experts."""
        return self.experts[0].classes

    def description(self, x: Any = None) -> dict[str, Any]:
        """As :meth:`Certifier.description`, with that of the router and of each expert."""
        experts = [expert.description(x) for expert in self.experts]
        shared = {key: experts[0][key] for key in ("noise", "seed", "n", "n0", "failure_prob", "num_classes")}
        parts = {"router": self.router.description(x), "experts": experts}
        randomised = {"randomised": True} if self.router.randomised else {}
        return {**shared, "certificate": experts[0]["certificate"], **randomised, "routing": parts}

    def outcomes(self, inputs: Iterable[tuple[np.ndarray, int, int]]) -> Iterator[Outcome]:
        """As :meth:`Certifier.outcomes`. An expert is asked only where the router certifies its level."""
        packed = any(round_votes(part.counter) for part in (self.router, *self.experts))
        waiting = iter(inputs)
        while some := list(itertools.islice(waiting, _TOGETHER if packed else 1)):
            named = list(self.router.outcomes((x, index, ABSTAIN) for x, index, _ in some))
            answers: dict[int, Outcome] = {}
            for level, expert in enumerate(self.experts):
                mine = [given for given, route in zip(some, named, strict=True) if route.prediction == level]
                answers |= {outcome.index: outcome for outcome in expert.outcomes(mine)}
            for (_, index, label), route in zip(some, named, strict=True):
                yield Outcome.routed(route, answers.get(index), label, self.num_classes)


AnyCertifier = Certifier | RoutedCertifier


def make_certifier(base: Any, *, dim: int, smooth_sigma: float, **options: Any) -> AnyCertifier:
    """The certifier of a base classifier, or of a router with its experts; arguments as for :meth:`Certifier.make`."""
    if isinstance(base, RoutedBase):
        return RoutedCertifier.make(base, dim=dim, smooth_sigma=smooth_sigma, **options)
    return Certifier.make(base, dim=dim, smooth_sigma=smooth_sigma, **options)


def _knows_its_classes(router: Any) -> bool:
    """Whether the router says how many classes it has; a number that does not fit is then told as a router's."""
    own = getattr(router, "num_classes", None)
    return hasattr(router, "classes_") or (isinstance(own, int) and own > 0)


def _router_seed(seed: int) -> int:
    """A seed of the router's own: where it is smoothed at an expert's level, the two still share no noise."""
    seed = validation.integer("seed", seed, at_least=0)
    return int.from_bytes(hashlib.blake2b(f"router|{seed}".encode(), digest_size=8).digest()) >> 1

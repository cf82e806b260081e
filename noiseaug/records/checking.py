"""Whether the predictions and radii of a log follow from its votes; they are computed again when it is read."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.certificates import CERTIFICATES
from noiseaug.errors import InvalidInputError
from noiseaug.records.outcome import ABSTAIN, Outcome
from noiseaug.votes import bound_uniform

if TYPE_CHECKING:
    from noiseaug.certificates import Certificate, CertificationSetting, Decision

__all__ = ["claim_check", "drawn_uniform", "routing_parts", "setting_of"]

_NEEDED = ("smooth_sigma", "n", "failure_prob", "noise_error", "num_classes")
_TOLERANCE = 1e-9  # relative, and in units of β: what special functions of other versions may differ by


def claim_check(description: Mapping[str, Any], where: str) -> Callable[[Outcome], str | None]:
    """What tells the fault of an outcome, or None where its claim follows from its votes.

    A description that does not say how the run was certified, or names a rule that is not in the registry, lets
    everything through.

    Args:
        description: of the run, as its log has it.
        where: the file and the line, for the message.

    Raises:
        InvalidInputError: for a rule or numbers with which no run is certified.
    """
    if (parts := routing_parts(description)) is not None:
        return _routed_check(*parts, where)
    rule = description.get("certificate")
    if not isinstance(rule, dict) or rule["name"] not in CERTIFICATES:
        return lambda outcome: None
    needed = (*_NEEDED, "noise", "seed") if description.get("randomised") else _NEEDED
    if any(description.get(key) is None for key in needed):
        return lambda outcome: None
    try:
        certificate, setting = _rule(rule), setting_of(description)
        certificate.check(setting)
    except (InvalidInputError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"{where}: description: no run is certified so: {error}") from None
    looks, n0 = certificate.looks(setting), description.get("n0")

    @lru_cache(maxsize=1 << 16)  # inputs that a classifier is sure of have equal counts
    def decide(
        top: int, selection: Sequence[int], counts: tuple[Sequence[int], ...], uniform: float | None
    ) -> Decision:
        own = setting if uniform is None else replace(setting, uniform=uniform)
        return certificate.decide(own, top, np.array(selection), np.array(counts))

    def fault(outcome: Outcome) -> str | None:
        if outcome.router is not None:
            return "votes of a router, which the run does not have"
        if len(outcome.selection) != setting.num_classes:
            return f"counts of {len(outcome.selection)} classes; the run has {setting.num_classes}"
        drawn = int(np.sum(outcome.selection))
        if n0 is not None and drawn != n0:
            return f"{drawn} selection votes; the run has {n0}"
        if outcome.uniform != (uniform := drawn_uniform(description, outcome.index)):
            return f"its uniform is {outcome.uniform}; the run's is {uniform}"
        return _fault(outcome, certificate, setting, looks, decide)

    return fault


def drawn_uniform(description: Mapping[str, Any], index: int) -> float | None:
    """U of an input as its run has drawn it; None where bounds are not randomised.

    Args:
        description: of the run; with noise, smooth_sigma and seed where it says that bounds are randomised.
        index: of the input.
    """
    if not description.get("randomised"):
        return None
    return bound_uniform(description["noise"], description["smooth_sigma"], description["seed"], index)


def routing_parts(description: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """The descriptions of a run's router and of its experts by level; None where it has one level for all inputs."""
    routing = description.get("routing")
    if not isinstance(routing, dict):
        return None
    return routing["router"], routing["experts"]


def _routed_check(
    router: Mapping[str, Any], experts: Sequence[Mapping[str, Any]], where: str
) -> Callable[[Outcome], str | None]:
    """The same for a run with a router: its claim, that of the expert, and that the two were put together rightly."""
    router_fault = claim_check(router, where)
    expert_faults = [claim_check(expert, where) for expert in experts]

    def fault(outcome: Outcome) -> str | None:
        own = outcome.router
        if own is None:
            return "no votes of the router"
        if (found := router_fault(own)) is not None:
            return f"router: {found}"
        expert = outcome.expert
        if expert is None:
            return None
        if own.prediction >= len(expert_faults):
            return f"level {own.prediction}; the run has {len(expert_faults)}"
        return expert_faults[own.prediction](expert)

    return fault


def _rule(rule: Mapping[str, Any]) -> Certificate:
    parameters = {key: tuple(value) if isinstance(value, list) else value for key, value in rule.items()}
    return CERTIFICATES.load(parameters.pop("name"))(**parameters)


def setting_of(description: Mapping[str, Any]) -> CertificationSetting:
    """What a run was certified with, from its log's description."""
    from noiseaug.certificates import CertificationSetting, VoteBudget

    # what the noise's law is off by was paid from the failure probability
    budget = VoteBudget(description["n"], description["failure_prob"] - description.get("noise_error", 0.0))
    return CertificationSetting(description["smooth_sigma"], budget, description["num_classes"])


def _fault(
    outcome: Outcome,
    certificate: Certificate,
    setting: CertificationSetting,
    looks: tuple[int, ...],
    decide: Callable[[int, Sequence[int], tuple[Sequence[int], ...], float | None], Decision],
) -> str | None:
    used = looks[: bisect_right(looks, outcome.n)]
    if not used or used[-1] != outcome.n:
        return f"counts end at {outcome.n} votes, where {certificate.name} does not look"
    if len(used) == 1:
        counts = outcome.counts[-1:]
    else:
        kept = dict(zip(outcome.looks, outcome.counts, strict=True))
        missing = [look for look in used if look not in kept]
        if missing and not certificate.skips:
            return f"no counts at {missing[0]} votes, where {certificate.name} looks"
        counts = tuple(kept.get(look, (0,) * setting.num_classes) for look in used)
    top = int(np.argmax(outcome.selection))
    decision = decide(top, outcome.selection, counts, outcome.uniform)
    if not decision.done:
        return f"{certificate.name} does not stop at {outcome.n} votes with these counts"
    prediction = top if decision.certified else ABSTAIN
    near = math.isclose(outcome.radius, decision.radius, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE * setting.smooth_sigma)
    if outcome.prediction != prediction or not near:
        return (
            f"prediction {outcome.prediction} with radius {outcome.radius:.6g}, but its votes certify {prediction} "
            f"with radius {decision.radius:.6g}"
        )
    return None

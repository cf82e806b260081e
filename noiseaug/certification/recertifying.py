"""Certifying anew from stored votes: another failure probability, rule or radius, without a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from noiseaug.certificates import Certificate, CertificationSetting, Decision, VoteBudget
from noiseaug.certification.certifier import describe_rule, paid
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome, outcomes_frame
from noiseaug.records.checking import drawn_uniform, routing_parts
from noiseaug.records.log import read_outcomes
from noiseaug.records.logfile import plain, write_log
from noiseaug.runs import make_folder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["recertify", "recertify_log"]

Recertifier = tuple[dict[str, Any], Callable[[Outcome], Outcome]]


def recertify(
    frame: pd.DataFrame,
    setting: CertificationSetting,
    certificate: Certificate,
) -> pd.DataFrame:
    """Stored votes under another failure probability, rule or target radius, without a forward pass.

    A rule may use the looks that were kept, in its own order, until it stops. Votes that an earlier rule stopped on
    cannot be taken for a fixed number of votes: that would certify what merely looked good.

    Args:
        frame: from :func:`certify` or a log; bounds are randomised where it has a column ``uniform``.
        setting: smoothing level and votes of the stored run, with the new failure probability.
        certificate: the new rule.

    Raises:
        InvalidInputError: where the rule needs a look that was not kept.
    """
    certificate.check(setting)
    return outcomes_frame(_recertified(outcome, setting, certificate) for outcome in _stored(frame))


def _stored(frame: pd.DataFrame) -> Iterator[Outcome]:
    names = ["index", "label", "prediction", "radius", "selection", "looks", "counts", "seconds"]
    missing = [name for name in names if name not in frame]
    if missing:
        raise InvalidInputError(f"the frame lacks {', '.join(missing)}; only logs with votes can be certified anew")
    if "router_radius" in frame:
        raise InvalidInputError("the frame is of a run with a router, whose votes it lacks; use recertify_log")
    for row in frame[names + ["uniform"] * ("uniform" in frame)].to_dict("records"):
        fields: dict[str, Any] = {str(name): value for name, value in row.items()}
        yield Outcome(**fields)


def _recertified(outcome: Outcome, setting: CertificationSetting, certificate: Certificate) -> Outcome:
    place = {look: i for i, look in enumerate(outcome.looks)}
    selection, counts = np.array(outcome.selection), np.array(outcome.counts)
    top = int(np.argmax(selection))
    setting = replace(setting, uniform=outcome.uniform or 0.0)
    seen: list[np.ndarray] = []
    last, decision = 0, Decision(False, 0.0, False)
    for look in certificate.looks(setting):
        if look not in place and certificate.skips and look < outcome.n:
            seen.append(np.zeros_like(selection))
            continue
        if look not in place:
            raise InvalidInputError(
                f"{certificate.name} looks at {look} votes, but input {outcome.index} has counts at "
                f"{', '.join(map(str, outcome.looks))}; certify it with more votes or choose another rule"
            )
        last = place[look] + 1
        seen.append(counts[last - 1])
        decision = certificate.decide(setting, top, selection, np.array(seen))
        if decision.done:
            break
    return Outcome(
        index=outcome.index,
        label=outcome.label,
        prediction=top if decision.certified else ABSTAIN,
        radius=decision.radius,
        selection=outcome.selection,
        looks=outcome.looks[:last],
        counts=outcome.counts[:last],
        seconds=outcome.seconds,
        uniform=outcome.uniform,
    )


def recertify_log(
    log: Path | str,
    out: Path | str,
    certificate: Certificate,
    failure_prob: float | None = None,
    randomised: bool | None = None,
    router_certificate: Certificate | None = None,
) -> pd.DataFrame:
    """:func:`recertify` for a log: the run's levels from its description, the result into a new log.

    The new log appears complete or not at all.

    Args:
        log: of the stored run.
        out: the new log; must not exist.
        certificate: the new rule.
        failure_prob: the new failure probability; the old one by default.
        randomised: whether bounds are randomised; by default as in the log. A log whose bounds were not does for this
            too, since its seed fixed every U beforehand.
        router_certificate: the new rule of the router, where the run has one; by default ``certificate``.

    Raises:
        InvalidInputError: where the log does not say what its votes were, or ``out`` exists.
    """
    out = Path(out)
    if out.exists():
        raise InvalidInputError(f"{out} exists; choose another file")
    description, outcomes = read_outcomes(Path(log))
    parts = routing_parts(description)
    if router_certificate is not None and parts is None:
        raise InvalidInputError("the log is of a run without a router; leave out the router's rule")
    if parts is None:
        changed, again = _recertifier(description, certificate, failure_prob, randomised)
    else:
        router, experts = parts
        changed, again = _routed_recertifier(
            description,
            _recertifier(router, router_certificate or certificate, failure_prob, randomised),
            [_recertifier(expert, certificate, failure_prob, randomised) for expert in experts],
        )
    made = [again(outcome) for outcome in sorted(outcomes, key=lambda each: each.index)]
    make_folder(out.parent)
    write_log(out, changed, made)
    return outcomes_frame(made)


def _recertifier(
    description: dict[str, Any], certificate: Certificate, failure_prob: float | None, randomised: bool | None
) -> Recertifier:
    """The new description of a run, and what certifies its outcomes anew."""
    anew = bool(description.get("randomised")) if randomised is None else randomised
    needed = ("smooth_sigma", "n", "failure_prob", "num_classes", "noise_error", *(("noise", "seed") if anew else ()))
    missing = [key for key in needed if key not in description]
    if missing:
        raise InvalidInputError(
            f"the log does not say {', '.join(missing)}; only noiseaug's own logs can be certified anew"
        )
    level = float(description["failure_prob"]) if failure_prob is None else failure_prob
    granted = paid(level, float(description["noise_error"]))
    budget = VoteBudget(description["n"], granted)
    setting = CertificationSetting(description["smooth_sigma"], budget, description["num_classes"])
    certificate.check(setting)
    changed = _changed(description, failure_prob=level, certificate=describe_rule(certificate), randomised=anew)

    def again(outcome: Outcome) -> Outcome:
        drawn = msgspec.structs.replace(outcome, uniform=drawn_uniform(changed, outcome.index))
        return _recertified(drawn, setting, certificate)

    return changed, again


def _changed(description: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A description with changes; it says that bounds are randomised only where they are."""
    stated = {**description, **changes}
    return plain({key: value for key, value in stated.items() if key != "randomised" or value})


def _routed_recertifier(description: dict[str, Any], router: Recertifier, experts: list[Recertifier]) -> Recertifier:
    """The same for a run with a router, from those of its parts."""
    new_router, ask_router = router
    new_experts = [part for part, _ in experts]

    def again(outcome: Outcome) -> Outcome:
        assert outcome.router is not None  # reading the log has made sure
        route, own = ask_router(outcome.router), outcome.expert
        if route.prediction == ABSTAIN:
            return Outcome.routed(route, None, outcome.label, new_experts[0]["num_classes"])
        if own is None:
            raise InvalidInputError(
                f"input {outcome.index}: the router now certifies its level, but had abstained, so that the expert has "
                "no votes; choose a rule or a failure probability for the router that certifies no more than before"
            )
        _, ask_expert = experts[route.prediction]
        return Outcome.routed(route, ask_expert(own), outcome.label, len(own.selection))

    shared = {key: new_experts[0].get(key) for key in ("failure_prob", "certificate", "randomised")}
    return _changed(description, **shared, routing={"router": new_router, "experts": new_experts}), again

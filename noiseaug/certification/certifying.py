"""Certification and prediction with a smoothed classifier, for any base classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.certificates import MOST_VOTES, Certificate, CertificationSetting, Decision, VoteBudget
from noiseaug.certification.certifier import Certifier, describe_rule, paid
from noiseaug.confidence import majority_p_value
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome, RunLog, outcomes_frame
from noiseaug.records.checking import drawn_uniform
from noiseaug.records.log import read_outcomes
from noiseaug.records.logfile import plain, refuse_strangers, write_log
from noiseaug.runs import make_folder
from noiseaug.runs.progress import progress_bar
from noiseaug.votes import Counter, Stream, class_positions, make_counter, make_noise, round_votes, take_together

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["certify", "dense", "predict", "recertify", "recertify_log"]


def certify(
    base: Any,
    x: ArrayLike,
    *,
    smooth_sigma: float,
    labels: ArrayLike | None = None,
    n: int = 100_000,
    n0: int = 100,
    failure_prob: float = 1e-3,
    certificate: Certificate | None = None,
    randomised: bool = False,
    noise: str = "gaussian",
    num_classes: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    indices: Sequence[int] | None = None,
    log: Path | str | None = None,
    resume: bool = False,
    description: dict[str, Any] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Certifies inputs against ℓ₂ perturbations with a smoothed classifier (Cohen et al. 2019, CERTIFY).

    Args:
        base: a function from a batch of arrays to integer labels, a fitted scikit-learn classifier, a torch module, or
            a base that brings a vote engine of its own (:class:`noiseaug.vision.engine.TorchBase`).
        x: inputs, shape (m, …); a sparse matrix or a frame of numbers is taken too.
        smooth_sigma: β > 0, in input units.
        labels: true labels, shape (m,): the classifier's own (of ``classes_``), else numbers from 0; without them
            correctness is unknown (label −1).
        n: votes for an input at most.
        n0: votes of the selection sample.
        failure_prob: probability that a certificate is wrong, at most.
        certificate: the rule; :class:`~noiseaug.certificates.Cohen` by default.
        randomised: use randomised bounds, which fail with exactly the stated probability and certify a little more
            (docs/math.md 4.7). Their U is a function of seed and index and stands in the log.
        noise: ``"gaussian"``, or ``"discrete"`` for 8-bit inputs (docs/math.md 4.5).
        num_classes: number of classes, where the classifier does not know it.
        seed: votes for an input depend on it, the input's index, and the noise alone.
        batch: noisy copies classified at a time; by default what suits the engine.
        indices: indices of the inputs in their data set; 0 … m−1 by default.
        log: file to which each finished input is appended.
        resume: take up the log of an interrupted run.
        description: what else to record of the run: data set, classifier, shard, and as ``inputs`` how many inputs
            the log is to hold, which lets readers say what is missing.
        progress: show a bar on standard error.

    Returns:
        A frame with a row an input: index, label, prediction (−1: abstained), radius, correct, n, seconds, the counts
        of every class, and uniform where bounds are randomised. Labels and predictions are positions in ``classes_``,
        which the log's description keeps as ``classes`` where they are not the numbers from 0.

    Raises:
        InvalidInputError: for bad numbers, a classifier that returns no labels, or a log of another run.
    """
    x = dense(x)
    certifier = Certifier.make(
        base,
        dim=int(np.prod(np.shape(x)[1:])),
        smooth_sigma=smooth_sigma,
        n=n,
        n0=n0,
        failure_prob=failure_prob,
        certificate=certificate,
        randomised=randomised,
        noise=noise,
        num_classes=num_classes,
        seed=seed,
        batch=batch,
    )
    notes = dict(description or {})
    if (classes := certifier.classes) is not None:
        labels = None if labels is None else class_positions(classes, labels)
        notes.setdefault("classes", classes.tolist())
    inputs = Inputs.make(x, labels, indices, certifier.setting.num_classes)
    if log is None:
        return outcomes_frame(_outcomes(certifier, inputs, progress))
    return outcomes_frame(certify_into(Path(log), certifier, inputs, notes, resume, progress))


def dense(x: Any) -> Any:
    """Inputs as they are, sparse ones as an array: noise leaves nothing sparse."""
    return x.toarray() if hasattr(x, "toarray") else x


def certify_into(
    log: Path, certifier: Certifier, inputs: Inputs, description: dict[str, Any], resume: bool, progress: bool
) -> list[Outcome]:
    """Certifies what a log lacks of the inputs; all outcomes that it holds then.

    Where the description says how many ``inputs`` the run has, these are all of them, and a log with others is refused.
    """
    with RunLog.open(log, {**description, **certifier.description(inputs.x[0])}, resume=resume) as book:
        if "inputs" in description:
            _refuse_others(book, inputs)
        todo = [i for i, index in enumerate(inputs.indices.tolist()) if index not in book.finished]
        for outcome in _outcomes(certifier, inputs.some(todo), progress):
            book.append(outcome)
        return book.outcomes


def _refuse_others(book: RunLog, inputs: Inputs) -> None:
    """Refuses a log with outcomes of other inputs, or with other labels."""
    labels = dict(zip(inputs.indices.tolist(), inputs.labels.tolist(), strict=True))
    refuse_strangers(book.path, book.finished, labels)
    for outcome in book.outcomes:
        if outcome.label != labels[outcome.index]:
            raise InvalidInputError(
                f"{book.path} says that input {outcome.index} has label {outcome.label}; in the data it has "
                f"{labels[outcome.index]}; choose another file"
            )


@dataclass(frozen=True, eq=False)
class Inputs:
    """What is to be certified: inputs of shape (m, …), with labels (−1: unknown) and indices of shape (m,)."""

    x: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    @classmethod
    def make(cls, x: ArrayLike, labels: ArrayLike | None, indices: ArrayLike | None, num_classes: int) -> Inputs:
        """Checks them; arguments and errors as for :func:`certify`."""
        inputs = np.asarray(x)
        if inputs.ndim < 2 or len(inputs) == 0:
            raise InvalidInputError(f"x has shape {inputs.shape}; expected (inputs, …) with at least one input")
        places = np.arange(len(inputs)) if indices is None else np.asarray(indices)
        truth = np.full(len(inputs), ABSTAIN) if labels is None else np.asarray(labels)
        for name, values in (("labels", truth), ("indices", places)):
            if values.shape != (len(inputs),) or not np.issubdtype(values.dtype, np.integer):
                raise InvalidInputError(
                    f"{name} are {values.dtype} of shape {values.shape}; expected {len(inputs)} integers"
                )
        if labels is not None and not ((truth >= 0) & (truth < num_classes)).all():
            raise InvalidInputError(f"labels run from {truth.min()} to {truth.max()}; expected 0 to {num_classes - 1}")
        if len(set(places.tolist())) < len(places) or places.min() < 0:
            raise InvalidInputError("indices repeat or are negative; expected one place in the data set for each input")
        return cls(inputs, truth, places)

    def some(self, positions: list[int] | slice) -> Inputs:
        """Some of them, by their positions."""
        return Inputs(self.x[positions], self.labels[positions], self.indices[positions])


def _outcomes(certifier: Certifier, inputs: Inputs, progress: bool) -> Iterator[Outcome]:
    given = zip(inputs.x, inputs.indices.tolist(), inputs.labels.tolist(), strict=True)
    outcomes = certifier.outcomes(given)
    yield from progress_bar(outcomes, total=len(inputs.x), desc="certify", show=progress, unit="input")


def predict(
    base: Any,
    x: ArrayLike,
    *,
    smooth_sigma: float,
    n: int = 1000,
    failure_prob: float = 1e-3,
    noise: str = "gaussian",
    num_classes: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    indices: Sequence[int] | None = None,
) -> pd.DataFrame:
    """The smoothed classifier's classes, or abstention (Cohen et al. 2019, PREDICT).

    An answer is the smoothed classifier's with probability at least 1 − failure_prob: the exact two-sided test of the
    two largest counts at ½.

    Args:
        base: as in :func:`certify`.
        x: inputs, shape (m, …).
        smooth_sigma: β > 0, in input units.
        n: votes for an input.
        failure_prob: probability of a wrong class, at most.
        noise: as in :func:`certify`.
        num_classes: as in :func:`certify`.
        seed: as in :func:`certify`.
        batch: as in :func:`certify`.
        indices: as in :func:`certify`.

    Returns:
        A frame with index, prediction (−1: abstained), p_value and counts.
    """
    import pandas as pd

    model = make_noise(noise, smooth_sigma)
    counter = make_counter(base, noise=model, num_classes=num_classes, seed=seed, batch=batch)
    inputs = Inputs.make(dense(x), None, indices, counter.num_classes)
    n = validation.affordable("n", n, MOST_VOTES, 1e5, "votes")
    level = paid(failure_prob, model.distribution_error(int(np.prod(inputs.x.shape[1:])), n))
    rows = []
    for place, counts in _counted(counter, inputs.x, inputs.indices, n):
        first, second = np.sort(counts)[::-1][:2]
        p_value = float(majority_p_value(first, second))
        prediction = int(np.argmax(counts)) if p_value <= level else ABSTAIN
        rows.append((int(place), prediction, p_value, tuple(int(k) for k in counts)))
    return pd.DataFrame(rows, columns=["index", "prediction", "p_value", "counts"])


def _counted(counter: Counter, inputs: np.ndarray, places: np.ndarray, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Index and counts of each input, of as many at a time as fill a round of the counter."""
    requests: list[tuple[Stream, int]] = []
    first = 0
    for last, place in enumerate(places):
        requests.append((counter.stream(inputs[last], int(place), "estimation"), n))
        if n * len(requests) >= round_votes(counter) or last == len(places) - 1:
            counts = take_together(counter, requests)
            yield from zip(places[first : last + 1].tolist(), counts, strict=True)
            requests, first = [], last + 1


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
    return outcomes_frame(_all_recertified(_stored(frame), setting, certificate))


def _all_recertified(
    outcomes: Iterable[Outcome], setting: CertificationSetting, certificate: Certificate
) -> list[Outcome]:
    certificate.check(setting)
    return [_recertified(outcome, setting, certificate) for outcome in outcomes]


def _stored(frame: pd.DataFrame) -> Iterator[Outcome]:
    names = ["index", "label", "prediction", "radius", "selection", "looks", "counts", "seconds"]
    missing = [name for name in names if name not in frame]
    if missing:
        raise InvalidInputError(f"the frame lacks {', '.join(missing)}; only logs with votes can be certified anew")
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

    Raises:
        InvalidInputError: where the log does not say what its votes were, or ``out`` exists.
    """
    out = Path(out)
    if out.exists():
        raise InvalidInputError(f"{out} exists; choose another file")
    description, outcomes = read_outcomes(Path(log))
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
    stated = {**description, "failure_prob": level, "certificate": describe_rule(certificate), "randomised": anew}
    changed = plain({key: value for key, value in stated.items() if key != "randomised" or value})
    drawn = (msgspec.structs.replace(each, uniform=drawn_uniform(changed, each.index)) for each in outcomes)
    made = _all_recertified(sorted(drawn, key=lambda each: each.index), setting, certificate)
    make_folder(out.parent)
    write_log(out, changed, made)
    return outcomes_frame(made)

"""Certification and prediction with a smoothed classifier, for any base classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.certificates import MOST_VOTES, Certificate
from noiseaug.certification.certifier import paid
from noiseaug.certification.routing import AnyCertifier, make_certifier
from noiseaug.confidence import majority_p_value
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome, RunLog, outcomes_frame
from noiseaug.records.logfile import refuse_strangers
from noiseaug.runs.progress import progress_bar
from noiseaug.votes import Counter, Stream, class_positions, make_counter, make_noise, round_votes, take_together

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["certify", "dense", "predict"]


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
            a base that brings a vote engine of its own (:class:`noiseaug.vision.engine.TorchBase`), or a
            :class:`~noiseaug.certification.RoutedBase`, which chooses β for each input.
        x: inputs, shape (m, …); a sparse matrix or a frame of numbers is taken too.
        smooth_sigma: β > 0, in input units; of a RoutedBase, that of its router.
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
    certifier = make_certifier(
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
    inputs = Inputs.make(x, labels, indices, certifier.num_classes)
    if log is None:
        return outcomes_frame(_outcomes(certifier, inputs, progress))
    return outcomes_frame(certify_into(Path(log), certifier, inputs, notes, resume, progress))


def dense(x: Any) -> Any:
    """Inputs as they are, sparse ones as an array: noise leaves nothing sparse."""
    return x.toarray() if hasattr(x, "toarray") else x


def certify_into(
    log: Path, certifier: AnyCertifier, inputs: Inputs, description: dict[str, Any], resume: bool, progress: bool
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


def _outcomes(certifier: AnyCertifier, inputs: Inputs, progress: bool) -> Iterator[Outcome]:
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

"""What ``noiseaug attack`` does: a network, its images, and the log that certified them, brought together."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.subjects.classifiers import Subject, load_subject
from noiseaug.vision.attacks import attack_frame, attack_summary
from noiseaug.votes import GaussianNoise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["attack_model"]

_SOME = 100  # images attacked by default


def attack_model(
    model: Path | str,
    data: str | None = None,
    *,
    smooth_sigma: float,
    method: str = "pgd",
    radii: list[float],
    steps: int = 20,
    samples: int = 128,
    restarts: int = 1,
    n: int = 1000,
    failure_prob: float = 1e-3,
    log: Path | None = None,
    every: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    root: Path | None = None,
    normalisation: str | None = None,
    trusted: Collection[str] = (),
    weights: Path | None = None,
    consensus: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attacks a trained network's smoothed classifier on test images.

    Args:
        model: directory of a training run, a checkpoint, or a torch module as ``module:attribute``.
        data: name of the data set; by default what the network learned from.
        smooth_sigma: β > 0.
        method: ``pgd`` or ``ddn``.
        radii: ℓ₂ radii ε > 0.
        steps: of the attack.
        samples: noise draws that the attack sees.
        restarts: random starts.
        n: votes for a prediction.
        failure_prob: of what is said of an image's class.
        log: a log of ``noiseaug certify`` for the same network and level; its images are attacked.
        every: attack every k-th image; by default those of the log, or some hundred.
        seed: of the attack's noise and of the votes.
        batch: noisy copies at a time.
        device: where the network runs.
        precision: in which it votes; the attack itself runs in float32.
        root: folder of image sets.
        normalisation: of a published checkpoint whose file does not record it.
        trusted: architectures of your own, ``module:attribute``, that the checkpoint may import.
        weights: of a torch module of the user's own.
        consensus: of several networks, how many are asked first; the attack itself sees the mean of all.

    Returns:
        A row for each image and radius, and a row for each radius; see :func:`~noiseaug.vision.attacks.attack_frame`
        and :func:`~noiseaug.vision.attacks.attack_summary`.

    Raises:
        InvalidInputError: for a log of another network, level or data set, and as those functions do.
    """
    subject = load_subject(
        str(model),
        data,
        device=device,
        precision=precision,
        root=root,
        normalisation=normalisation,
        trusted=trusted,
        weights=weights,
        consensus=consensus,
    )
    base = subject.base
    if not hasattr(base, "vote_counter"):
        raise InvalidInputError(f"{model} is no network; attack takes the directory of a training run, or a checkpoint")
    images, labels = subject.data.inputs, subject.data.labels
    certified, granted = None, 1e-3
    if log is not None:
        description, certified = read_log(log)
        _refuse_other(log, description, subject, smooth_sigma, precision)
        granted = float(description["failure_prob"])
        places = certified["index"].to_numpy()
        indices = places if every is None else places[places % validation.integer("every", every) == 0]
        if not len(indices):
            raise InvalidInputError(f"{log} holds none of the images 0, {every}, …; leave out --every")
    else:
        step = max(1, len(images) // _SOME) if every is None else validation.integer("every", every)
        indices = np.arange(len(images))[::step]
    counter = base.vote_counter(noise=GaussianNoise(smooth_sigma), num_classes=base.num_classes, seed=seed, batch=batch)
    frame = attack_frame(
        base.model,
        counter,
        images[indices],
        labels[indices],
        indices.tolist(),
        attack=method,
        radii=radii,
        steps=steps,
        samples=samples,
        restarts=restarts,
        n=n,
        failure_prob=failure_prob,
        certified=certified,
        progress=True,
    )
    return frame, attack_summary(frame, failure_prob=failure_prob, certificate_failure_prob=granted)


def _refuse_other(
    log: Path, description: dict[str, Any], subject: Subject, smooth_sigma: float, precision: str
) -> None:
    """A log whose certificates say nothing about this smoothed classifier."""
    wanted = {
        **{
            key: subject.description.get(key)
            for key in ("weights", "consensus", "normalisation", "data", "data_digest")
        },
        "smooth_sigma": smooth_sigma,
        "noise": "gaussian",
        "precision": precision,
    }
    for key, value in wanted.items():
        found = description.get(key)
        if found != value:
            raise InvalidInputError(f"{log} is of another smoothed classifier: its {key} is {found!r}, not {value!r}")

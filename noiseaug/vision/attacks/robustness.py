"""How a smoothed classifier stands up to attacks, beside what was certified of it.

An attack climbs the soft smoothed classifier (Salman et al. 2019); whether it succeeded is measured by votes, with
Cohen et al.'s (2019) exact two-sided test. Accuracy under attack is an upper bound on robust accuracy, certified
accuracy a lower one: where they contradict one another, in an image that changes its class within its certified radius,
a certificate or a test was wrong, which happens with the probability that was granted, or there is a bug.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from noiseaug import validation
from noiseaug.certificates import MOST_VOTES
from noiseaug.confidence import check_failure_prob, majority_p_value
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN
from noiseaug.runs.progress import progress_bar
from noiseaug.vision.attacks.registry import ATTACKS
from noiseaug.vision.attacks.soft import DDN, PGD, draw_noise, frozen, log_odds, soft_log_prob
from noiseaug.votes import Counter, Noise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SeededCounter", "attack_frame", "attack_summary"]


class SeededCounter(Counter, Protocol):
    """A vote engine, ``votes.VoteCounter`` or ``engine.TorchCounter``, a shallow copy of which may get another seed."""

    seed: int
    noise: Noise


_MOST = 10**5

_TYPES = {
    "index": "int64",
    "label": "int64",
    "radius": "float64",
    "clean_prediction": "int64",
    "attacked_prediction": "int64",
    "norm": "float64",
    "succeeded": "bool",
    "certified_prediction": "int64",
    "certified_radius": "float64",
    "violation": "bool",
}


def attack_frame(
    base: nn.Module,
    counter: SeededCounter,
    x: Any,
    y: Any,
    indices: Sequence[int],
    *,
    attack: str = "pgd",
    radii: Sequence[float],
    steps: int = 20,
    samples: int = 128,
    restarts: int = 1,
    n: int = 1000,
    failure_prob: float = 1e-3,
    certified: pd.DataFrame | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Attacks images at several radii and votes on what became of them.

    An attack *succeeded* at a radius if the smoothed classifier is known to be of another class than the label at x,
    or at the attacked point of this radius or a smaller one. An undecided vote counts as withstood. All that is said of
    the class of an image, at x and at every radius, is right together with probability ≥ 1 − failure_prob: each of the
    1 + len(radii) tests has its share of it. The attack moves away from the label, or, where x is of another class
    already, from that class, which can only turn up violations.

    A *violation* is a known class, at x or at an attacked point no farther away than the certified radius, that differs
    from the certified one; the distance is that of the float32 images, in double precision, rounded up.

    Rows of an image depend on its index and on the counter's seed, not on the other images: a run can be cut in parts.

    Args:
        base: the base classifier, maps ``(n, *shape)`` to logits (n, K).
        counter: of the votes of the same classifier, with Gaussian noise, whose level is the attack's too. Votes are
            drawn with seeds derived from the counter's, so that they are independent of those that certified.
        x: images, shape ``(b, *shape)``: floats in [0, 1], or uint8.
        y: labels, shape (b,), integers in 0 … K−1.
        indices: of the images in their data set, shape (b,).
        attack: ``"pgd"`` or ``"ddn"``.
        radii: ℓ₂ radii > 0, in input units; sorted if they are not.
        steps: of the attack, for each radius and restart.
        samples: noise vectors of the attack (Salman et al.'s m_test).
        restarts: attacks with noise of their own, for PGD but the first from a random point of the ball; votes are
            taken at the point where the soft classifier, under noise common to all, is worst.
        n: votes for each point.
        failure_prob: probability of a wrong statement on the class of an image, at most.
        certified: rows index, prediction, radius, of :func:`~noiseaug.certification.certify` or a log, for these
            images at least.
        progress: show a bar on standard error.

    Returns:
        A row for each image and radius: index, label, radius, clean_prediction and attacked_prediction (−1: undecided),
        norm (of the perturbation, rounded up), succeeded, certified_prediction and certified_radius (−1 and NaN without
        certificates), violation.

    Raises:
        InvalidInputError: for arguments that cannot be used, or an image without certificate among those given.
    """
    import pandas as pd

    assault = _assault(base, counter, attack, radii, steps, samples, restarts, n, failure_prob)
    images, labels, places = _inputs(x, y, indices, counter.num_classes)
    claims = _claims(certified, places)
    rows = [
        row
        for i in progress_bar(range(len(images)), show=progress, desc="attack", unit="image")
        for row in _image_rows(assault, images[i], int(labels[i]), int(places[i]), claims.get(int(places[i])))
    ]
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in _TYPES.items()})


def attack_summary(
    frame: pd.DataFrame, *, failure_prob: float = 1e-3, certificate_failure_prob: float = 1e-3
) -> pd.DataFrame:
    """What a frame of :func:`attack_frame` says for each radius.

    Args:
        frame: rows of any number of images.
        failure_prob: of the frame.
        certificate_failure_prob: probability of a wrong certificate, at most.

    Returns:
        A row for each radius: n (images), accuracy_under_attack (share of images without success; an upper bound on
        robust accuracy), abstained (share undecided at the attacked point), certified_accuracy (share certified as the
        label at this radius; NaN without certificates), violations, and violations_expected: their expected number if
        all is right, at most n · (failure_prob + certificate_failure_prob).
    """
    import pandas as pd

    granted = validation.probability("failure_prob", failure_prob)
    granted += validation.probability("certificate_failure_prob", certificate_failure_prob)
    rows = []
    for radius, part in frame.groupby("radius", sort=True):
        claimed = (part["certified_prediction"] == part["label"]) & (part["certified_radius"] >= radius)
        rows.append(
            {
                "radius": radius,
                "n": len(part),
                "accuracy_under_attack": 1 - part["succeeded"].mean(),
                "abstained": (part["attacked_prediction"] == ABSTAIN).mean(),
                "certified_accuracy": np.nan if part["certified_radius"].isna().all() else claimed.mean(),
                "violations": int(part["violation"].sum()),
                "violations_expected": len(part) * granted,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Assault:
    """All that determines what happens to an image."""

    base: nn.Module
    counter: SeededCounter
    attacks: tuple[PGD | DDN, ...]  # one for each radius, ascending
    samples: int
    restarts: int
    n: int
    level: float  # of each test
    device: torch.device = field(init=False)
    dtype: torch.dtype = field(init=False)

    def __post_init__(self) -> None:
        weight = next((each for each in self.base.parameters() if each.is_floating_point()), torch.empty(0))
        object.__setattr__(self, "device", weight.device)
        object.__setattr__(self, "dtype", torch.float64 if weight.dtype == torch.float64 else torch.float32)

    def prediction(self, image: np.ndarray, index: int, *point: object) -> int:
        """The smoothed classifier's class at one input, or −1; with votes of their own for each ``point``."""
        counter = copy.copy(self.counter)
        counter.seed = self._seed("votes", *point)
        counts = counter.stream(image, index, "estimation").take(self.n)
        second, first = np.sort(counts)[-2:]
        return int(np.argmax(counts)) if majority_p_value(first, second) <= self.level else ABSTAIN

    def attacked(self, image: np.ndarray, index: int, away_from: int, attack: PGD | DDN) -> np.ndarray:
        """The worst point that the restarts find."""
        x = torch.as_tensor(image[None]).to(self.device, self.dtype)
        y = torch.tensor([away_from], device=self.device)
        points, odds, judge = [], [], self._noise(x, self._generator(index, "judge"))
        for restart in range(self.restarts):
            generator = self._generator(index, restart)
            noise = self._noise(x, generator)
            if isinstance(attack, PGD):
                attack = replace(attack, random_start=restart > 0)
            point = attack.perturb(self.base, x, y, noise, generator=generator).to(torch.float32)
            points.append(point)
            if self.restarts > 1:
                odds.append(self._odds(point.to(self.dtype), y, judge))
        best: np.ndarray = points[int(np.argmax(odds)) if odds else 0][0].cpu().numpy()
        return best

    def _odds(self, point: Tensor, y: Tensor, noise: Tensor) -> float:
        with frozen(self.base), torch.inference_mode():
            return float(log_odds(soft_log_prob(self.base, point, noise), y))

    def _noise(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return draw_noise(x, self.samples, self.counter.noise.smooth_sigma, generator)

    def _generator(self, *point: object) -> torch.Generator:
        """On the CPU, so that an attack meets the same noise on every device."""
        return torch.Generator().manual_seed(self._seed("attack", *point))

    def _seed(self, *point: object) -> int:
        key = "|".join(map(str, (self.counter.seed, "robustness", *point)))
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 1


def _image_rows(
    assault: _Assault, image: np.ndarray, label: int, index: int, claim: tuple[int, float] | None
) -> Iterator[dict[str, Any]]:
    """The rows of one image, by ascending radius."""
    certified, certified_radius = (ABSTAIN, np.nan) if claim is None else claim
    clean = assault.prediction(image, index, "clean")
    away_from = label if clean == ABSTAIN else clean
    succeeded = away_from != label
    for attack in assault.attacks:
        point = assault.attacked(image, index, away_from, attack)
        norm = _distance(image, point)
        attacked = assault.prediction(point, index, type(attack).__name__, attack.radius.hex())
        succeeded = succeeded or attacked not in (ABSTAIN, label)
        broken = clean not in (ABSTAIN, certified) or (
            attacked not in (ABSTAIN, certified) and norm <= certified_radius
        )
        yield {
            "index": index,
            "label": label,
            "radius": attack.radius,
            "clean_prediction": clean,
            "attacked_prediction": attacked,
            "norm": norm,
            "succeeded": succeeded,
            "certified_prediction": certified,
            "certified_radius": certified_radius,
            "violation": certified != ABSTAIN and broken,
        }


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖₂ of float32 arrays, rounded up: differences are exact in float64, each of the sums is off by 2⁻⁵³."""
    delta = (a.astype(np.float64) - b).ravel()
    return float(np.linalg.norm(delta) * (1 + (delta.size + 4) * 2.0**-53))


def _assault(
    base: nn.Module,
    counter: SeededCounter,
    attack: str,
    radii: Sequence[float],
    steps: int,
    samples: int,
    restarts: int,
    n: int,
    failure_prob: float,
) -> _Assault:
    kind = ATTACKS.load(attack)
    if counter.noise.name != "gaussian":
        raise InvalidInputError(f"the votes are under {counter.noise.name} noise; attacks take gaussian noise alone")
    levels = sorted({validation.positive("radius", radius) for radius in radii})
    if not levels:
        raise InvalidInputError("there are no radii; expected at least one radius above 0")
    return _Assault(
        base,
        counter,
        tuple(kind(radius, steps) for radius in levels),
        validation.integer("samples", samples, at_most=_MOST),
        validation.affordable("restarts", restarts, _MOST, 10, "attacks"),
        validation.affordable("n", n, MOST_VOTES, 1e5, "votes"),
        check_failure_prob("failure_prob", failure_prob) / (1 + len(levels)),
    )


def _inputs(x: Any, y: Any, indices: Sequence[int], num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images as float32, labels and indices, as NumPy arrays."""
    images, labels, places = (
        each.detach().cpu().numpy() if isinstance(each, Tensor) else np.asarray(each) for each in (x, y, indices)
    )
    if images.dtype == np.uint8:
        images = np.divide(images, 255, dtype=np.float32)
    if images.ndim < 2 or len(images) == 0 or images.dtype.kind != "f":
        raise InvalidInputError(f"x is {images.dtype} of shape {images.shape}; expected floats or uint8, (images, …)")
    for name, values in (("labels", labels), ("indices", places)):
        if values.shape != (len(images),) or values.dtype.kind not in "iu":
            raise InvalidInputError(
                f"the {name} are {values.dtype} of shape {values.shape}; expected {len(images)} integers"
            )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise InvalidInputError(
            f"the labels run from {labels.min()} to {labels.max()}; expected 0 to {num_classes - 1}"
        )
    return images.astype(np.float32), labels, places


def _claims(certified: pd.DataFrame | None, places: np.ndarray) -> dict[int, tuple[int, float]]:
    """Certified class and radius by index."""
    if certified is None:
        return {}
    absent = [name for name in ("index", "prediction", "radius") if name not in certified]
    if absent:
        raise InvalidInputError(f"the certificates lack {', '.join(absent)}; expected index, prediction, radius")
    claims = {
        int(index): (int(prediction), float(radius))
        for index, prediction, radius in certified[["index", "prediction", "radius"]].itertuples(index=False)
    }
    missing = [int(index) for index in places if int(index) not in claims]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(places)} images have no certificate, the first of index {missing[0]}; attack "
            "images that were certified, or leave the certificates out"
        )
    return claims

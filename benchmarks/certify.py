"""A network on real images certified at one radius: multi-look beside the loop of Cohen et al. (2019)."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pandas as pd

from benchmarks import Row, benchmark
from noiseaug.certificates import Certificate, Cohen, MultiLook
from noiseaug.certification import certify

SIGMA, RADIUS, VOTES, IMAGES = 0.25, 0.25, 100_000, 60


@benchmark("certify")
def run(repeats: int) -> list[Row]:
    """Seconds an image on the bundled digits; the loop takes all votes, of the first image, as for any other."""
    import torch

    from benchmarks._networks import obvious
    from noiseaug.data import load_images
    from noiseaug.vision.engine import TorchBase
    from noiseaug.vision.models import build_model
    from noiseaug.vision.objectives import make_objective
    from noiseaug.vision.training import Trainer, TrainingSet, default_recipe

    train, test = (load_images("digits", split) for split in ("train", "test"))
    data = TrainingSet(torch.from_numpy(train.inputs), torch.from_numpy(train.labels), len(train))
    recipe = default_recipe("mlp", train.shape, make_objective("gaussian", SIGMA), epochs=30)
    torch.manual_seed(0)
    trainer = Trainer(recipe, data, build_model("mlp", train.shape, train.num_classes))
    trainer.run(lambda *_: None, lambda *_: None)
    model = trainer.result.eval()
    images, labels = test.floats()[:: len(test) // IMAGES], test.labels[:: len(test) // IMAGES]
    base = TorchBase(model)
    mine, loop = [], []

    def certified_by(rule: Certificate) -> pd.DataFrame:
        return certify(base, images, labels=labels, smooth_sigma=SIGMA, n=VOTES, certificate=rule)

    for _ in range(repeats):
        begun = time.perf_counter()
        early = certified_by(MultiLook((RADIUS,)))
        mine.append((time.perf_counter() - begun) / len(images))
        begun = time.perf_counter()
        obvious(model, torch.from_numpy(images[0]), VOTES, train.num_classes)
        loop.append(time.perf_counter() - begun)
    certified = [int((f["correct"] & (f["radius"] >= RADIUS)).sum()) for f in (early, certified_by(Cohen()))]
    votes = float(np.mean(early["n"]))
    label = f"digits, r={RADIUS:g}: {certified[0]}/{certified[1]} certified, {votes:.0f} votes an image"
    seconds, obviously = statistics.median(mine), statistics.median(loop)
    met = obviously >= 20 * seconds and certified[0] >= 0.98 * certified[1]
    return [Row(label, 1e3 * seconds, 1e3 * obviously, "20x", met, "ms")]

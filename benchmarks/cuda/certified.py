"""Stage "certified": certificates of the networks of the stage "good", beside the published ones.

Every twentieth test image, n = 100 000, n₀ = 100, failure probability .001, as published. The images come in a random
order, so that those of a run that is cut are a sample; where there was no time for all of them, the row says how many.
Logs are in ``logs.zip``.
"""

from __future__ import annotations

import csv
import io
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._networks import obvious, rate
from benchmarks.cuda.good import Setting, weights
from benchmarks.cuda.stages import Context, Table, caught
from noiseaug.certificates import Certificate, CertificationSetting, Cohen, ConfidenceSequence, MultiLook, VoteBudget
from noiseaug.certification import Certifier
from noiseaug.data import LabelledSet
from noiseaug.records import RunLog
from noiseaug.report import average_certified_radius, certified_accuracy
from noiseaug.runs import write_atomically
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.models import load_checkpoint, weights_digest
from noiseaug.votes import GaussianNoise

RADII = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75)
_N0, _FAILURE = 100, 1e-3
_PUBLISHED = Path(__file__).resolve().parents[2] / "paper_figs" / "data" / "cifar10_acr.csv"


@dataclass(frozen=True)
class Work:
    """One run of certification."""

    network: str
    smooth_sigma: float
    rule: Certificate

    @property
    def name(self) -> str:
        """Of its log."""
        return f"{self.network}-{self.smooth_sigma:g}-{self.rule.name}"


def run(context: Context) -> str:
    """The most important run first; a row each; what there was no time for."""
    setting, table = Setting.of(context), context.table("certified")
    if not table.has(network="published"):
        published(table, setting.sigma)
    images = setting.images(context, "test")
    missing = []
    for work in plan(context, setting):
        path = weights(context, work.network)
        known = {"network": work.network, "smooth_sigma": f"{work.smooth_sigma:g}", "rule": work.rule.name}
        if table.has(**known, note=""):
            continue
        if not path.exists() or context.left < 2:
            missing.append(f"{work.name}: {'no time left' if path.exists() else 'no network'}")
            continue
        table.drop(**known)
        with caught(table, **known):
            certify_one(work, path, images, setting, context, table)
        keep_logs(context)
        if not table.has(**known, note=""):
            missing.append(f"{work.name}: not whole")
    return "; ".join(missing)


def plan(context: Context, setting: Setting) -> list[Work]:
    """What to certify, in order."""
    best, sigma = context.objective, setting.sigma
    rules = [MultiLook((0.5 * sigma / 0.5,)), ConfidenceSequence(0.5 * sigma / 0.5)]
    return [
        Work(best, sigma, Cohen()),
        *(Work(best, sigma, rule) for rule in rules),
        Work("gaussian", sigma, Cohen()),
        Work(best, sigma / 2, Cohen()),
        Work(best, 2 * sigma, Cohen()),
    ]


def certify_one(
    work: Work,
    path: Path,
    images: LabelledSet,
    setting: Setting,
    context: Context,
    table: Table,
    every: int | None = None,
) -> None:
    """Certifies as many images as time allows, and writes a row."""
    model, metadata = load_checkpoint(path)
    device = as_device(context.device)
    base = TorchBase(model.float(), device=str(device), precision="bfloat16", compiled=device.type == "cuda")
    counter = base.vote_counter(noise=GaussianNoise(work.smooth_sigma))
    budget = VoteBudget(setting.n, _FAILURE, _N0)
    certifier = Certifier(counter, CertificationSetting(work.smooth_sigma, budget, counter.num_classes), work.rule)
    indices = np.random.default_rng(0).permutation(np.arange(0, len(images), every or setting.every))
    classifier = {"data": setting.data, "classifier": path.stem, "weights": weights_digest(model)[:16]}
    log = context.work / f"{work.name}.jsonl"
    warm = images.floats(indices[:1])[0]
    description = {**classifier, **certifier.description(warm)}
    stream: Any = counter.stream(warm, 0, "selection")
    stream.take(_N0)  # prepared, compiled, captured
    with RunLog.open(log, description, resume=True) as book:
        todo = [int(index) for index in indices if int(index) not in book.finished]
        given = ((images.floats([index])[0], index, int(images.labels[index])) for index in todo)
        begun, before = time.perf_counter(), len(book.finished)
        for outcome in certifier.outcomes(given):
            book.append(outcome)
            if context.left < 1:
                break
        seconds = time.perf_counter() - begun
        frame = book.frame()
    new = max(1, len(frame) - before)
    short = "" if len(frame) == len(indices) else f"{len(frame)} of {len(indices)} images, a random sample"
    unfinished = "" if metadata.get("finished") else f"training cut in epoch {metadata.get('epochs_done')}"
    accuracies = certified_accuracy(frame, RADII)
    row: dict[str, Any] = {f"ca_{each['radius']:g}": each["value"] for each in accuracies.to_dict("records")}
    table.add(
        network=work.network,
        smooth_sigma=f"{work.smooth_sigma:g}",
        rule=work.rule.name,
        train_sigma=metadata["objective"]["train_sigma"],
        epochs=metadata.get("epochs_done"),
        images=len(frame),
        n=setting.n,
        acr=average_certified_radius(frame),
        **row,
        votes_per_image=float(frame["n"].mean()),
        seconds_per_image=seconds / new,
        **beside_the_loop(model, warm, setting.n, seconds / new, device),
        way=getattr(getattr(stream, "votes", None), "way", "on the CPU"),
        note="; ".join(filter(None, [short, unfinished])),
    )


def beside_the_loop(model: Any, x: np.ndarray, n: int, seconds: float, device: torch.device) -> dict[str, float]:
    """How many times the seconds of an image the loop of Cohen et al. takes for all of its votes."""
    there, image = model.float().to(device), torch.from_numpy(x).to(device)
    loop, _ = rate(lambda size: obvious(there, image, size, model.num_classes), 1000, 0.3, device)
    return {"loop_votes_per_second": loop, "ratio_to_loop": n / loop / seconds}


def published(table: Table, sigma: float) -> None:
    """Rows of the papers at a level, ResNet-110."""
    with _PUBLISHED.open(encoding="utf-8") as stream:
        rows = [each for each in csv.DictReader(stream) if float(each["smooth_sigma"]) == sigma]
    for row in rows:
        known = {"smooth_sigma": f"{sigma:g}", "acr": float(row["acr"]), "note": row["source"]}
        table.add(network="published", rule=row["method"], **known)


def keep_logs(context: Context) -> None:
    """All logs in one file, which is small."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for log in sorted(context.work.glob("*.jsonl")):
            archive.write(log, log.name)
    write_atomically(context.out / "logs.zip", content.getvalue())

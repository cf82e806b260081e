"""How fast networks are certified, on a CPU or a CUDA device: the table of the README by one command.

    python -m benchmarks.speed                                     this machine's CPU, networks with random weights
    python -m benchmarks.speed --device cuda --compiled --out speed.csv
    python -m benchmarks.speed cnn=runs/mnist resnet110=runs/cifar  trained: certified at one radius too

For each network and precision, beside the loop of Cohen et al. (2019) in float32 in the same run: votes a second; the
multiply-adds of the network as a share of what the device does in plain matrix products of that precision; seconds for
100 000 votes. A trained network's test images are certified at one radius by multi-look besides, and the time is held
against that of the loop, which takes all votes of every image.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._networks import COLOUR, SHAPES, SIGMA, ResultTable, add_options, obvious, rate
from noiseaug.certificates import CertificationSetting, MultiLook, VoteBudget
from noiseaug.certification import Certifier
from noiseaug.errors import InvalidInputError
from noiseaug.records import outcomes_frame
from noiseaug.subjects import load_subject
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.engine.inference import full_precision
from noiseaug.vision.models import build_model
from noiseaug.votes import GaussianNoise

FULL = 100_000  # votes of a certificate


def ceiling(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """Floating-point operations a second of a large matrix product."""
    size = 8192 if device.type == "cuda" else 2048
    a, b, product = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(a, b, out=product)

    return rate(multiply, 1, seconds, device)[0] * 2 * size**3


def operations(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of a forward pass of one input."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    return int(counter.get_total_flops())


def measure(name: str, run: str | None, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a precision."""
    device = as_device(options.device)
    subject = None if run is None else load_subject(run, options.data, device="cpu")
    shape = SHAPES.get(name, COLOUR) if subject is None else subject.base.shape
    torch.manual_seed(0)
    model = (build_model(name, shape, 10) if subject is None else subject.base.model).eval()
    flops, classes = operations(model, shape), model.num_classes
    x = torch.rand(shape) if subject is None else torch.from_numpy(subject.data.floats([0])[0])
    there, image = model.to(device), x.to(device)
    loop, looped = rate(lambda n: obvious(there, image, n, classes), 1000, options.seconds, device)
    strict = loop
    if device.type == "cuda":
        with full_precision(device):  # as the engine's; torch's default there is TF32
            strict, _ = rate(lambda n: obvious(there, image, n, classes), 1000, options.seconds, device)
    for precision in options.precisions.split(","):
        base = TorchBase(model, shape, options.device, precision, num_classes=classes, compiled=options.compiled)
        counter = base.vote_counter(noise=GaussianNoise(SIGMA))
        votes, counted = rate(
            lambda n, counter=counter: counter.stream(x.numpy(), 0, "estimation").take(n), 1000, options.seconds, device
        )
        top = ceiling(device, getattr(torch, precision), options.seconds / 4)
        row = {
            "network": name,
            "data": "random weights" if subject is None else subject.data.name,
            "precision": precision,
            "loop_votes_per_second": round(loop, 1),
            "loop_without_tf32": round(strict, 1),
            "votes_per_second": round(votes, 1),
            "ratio": round(votes / loop, 2),
            "gigaflop_per_vote": round(flops / 1e9, 4),
            "share_of_matrix_product": round(votes * flops / top, 4),
            "matrix_product_teraflops": round(top / 1e12, 3),
            "seconds_per_image": round(FULL / votes, 3),
            "votes_measured": counted,
            "loop_votes_measured": looped,
        }
        if subject is not None:
            row |= at_one_radius(base, subject, options, FULL / loop)
        yield row


def at_one_radius(base: TorchBase, subject: Any, options: argparse.Namespace, loop_seconds: float) -> dict[str, Any]:
    """Test images certified by multi-look, against what the loop would need for all their votes."""
    every = max(1, len(subject.data) // options.images)
    images, labels = subject.data.inputs[::every], subject.data.labels[::every]
    rule = MultiLook((options.radius,))
    counter = base.vote_counter(noise=GaussianNoise(SIGMA))
    certifier = Certifier(counter, CertificationSetting(SIGMA, VoteBudget(FULL, 1e-3), counter.num_classes), rule)
    given = [(x, index, int(y)) for index, (x, y) in enumerate(zip(images, labels, strict=True))]
    list(certifier.outcomes(given[:4]))  # prepared, compiled and captured
    begun = time.perf_counter()
    frame = outcomes_frame(certifier.outcomes(given))
    seconds = (time.perf_counter() - begun) / len(images)
    return {
        "radius": options.radius,
        "images": len(images),
        "certified": round(float((frame["correct"] & (frame["radius"] >= options.radius)).mean()), 4),
        "multi_look_votes_per_image": round(float(frame["n"].mean())),
        "multi_look_seconds_per_image": round(seconds, 4),
        "multi_look_ratio": round(loop_seconds / seconds, 1),
        "test_set_minutes": round(seconds * len(subject.data) / 60, 1),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="How fast networks are certified.")
    parser.add_argument(
        "networks", nargs="*", default=["cnn", "resnet20", "resnet110"], metavar="NAME[=RUN]",
        help="architecture, and the directory of a training run of it; default cnn resnet20 resnet110",
    )  # fmt: skip
    parser.add_argument("--compiled", action="store_true", help="networks through torch.compile; not on a CPU")
    parser.add_argument("--radius", type=float, default=0.5, help="at which trained networks are certified (.5)")
    parser.add_argument("--images", type=int, default=100, help="test images for that (default 100)")
    parser.add_argument("--data", help="by default what a run learned from")
    add_options(parser, seconds=10.0)
    options = parser.parse_args(arguments)
    try:
        table = ResultTable(as_device(options.device), options.out)
        for given in options.networks:
            name, _, run = given.partition("=")
            for row in measure(name, run or None, options):
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                table.add([row])
    except InvalidInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

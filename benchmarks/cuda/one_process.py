"""A process group of one, started by torchrun: does NCCL (on a CPU: gloo) run here, and leave gradients as they are?

``python -m torch.distributed.run --standalone --nproc-per-node 1 -m benchmarks.cuda.one_process cuda``
"""

from __future__ import annotations

import copy
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy

from noiseaug.vision.models import build_model
from noiseaug.vision.training import Workers


def main() -> None:
    """Prints the largest relative difference of gradients with and without the group."""
    device, cuda = torch.device(sys.argv[1]), sys.argv[1].startswith("cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("gloo")
    gradients = dist.new_group(backend="nccl" if cuda else "gloo")
    # the package takes a group of one for no group; two is what makes it wrap the model
    team = Workers(0, 2, 0, sys.argv[1], gradients)
    torch.manual_seed(0)
    model = build_model("lenet", (1, 28, 28), 10).to(device)
    x, y = torch.rand(16, 1, 28, 28, device=device), torch.arange(16, device=device) % 10
    alone = copy.deepcopy(model)
    for each in (alone, team.parallel(model)):
        cross_entropy(each(x), y).backward()
    pairs = zip(model.parameters(), alone.parameters(), strict=True)
    gap = max(float((a.grad - b.grad).abs().max() / b.grad.abs().max().clamp(min=1e-30)) for a, b in pairs)
    total = float(team.add(torch.ones(3, device=device)).sum())
    print(f"difference {gap if total == 3 else float('inf'):.3g} {'nccl' if cuda else 'gloo'}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

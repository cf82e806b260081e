from .attacks import attack_frame
from .engine import TorchBase
from .grid import GridSpec, run_grid
from .grid.grid import load_images
from .models import build_model, load_checkpoint
from .objectives import make_objective
from .training import Job, default_recipe, run_job

__all__ = [
    "GridSpec",
    "Job",
    "TorchBase",
    "attack_frame",
    "build_model",
    "default_recipe",
    "load_checkpoint",
    "load_images",
    "make_objective",
    "run_grid",
    "run_job",
]

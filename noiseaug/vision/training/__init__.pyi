from .batches import TrainingSet, augmented, epoch_batches, key_of, keyed_generator, to_floats
from .budget import TimeBudget
from .distributed import Workers, workers
from .job import Job, run_job
from .recipe import Recipe, default_recipe
from .registry import OPTIMISERS, SCHEDULES
from .trainer import Sums, Trainer, accuracy, out_of_memory

__all__ = [
    "OPTIMISERS",
    "SCHEDULES",
    "Job",
    "Recipe",
    "Sums",
    "TimeBudget",
    "Trainer",
    "TrainingSet",
    "Workers",
    "accuracy",
    "augmented",
    "default_recipe",
    "epoch_batches",
    "key_of",
    "keyed_generator",
    "out_of_memory",
    "run_job",
    "to_floats",
    "workers",
]

from .intervals import acr_error, with_interval
from .runs import PAPERS, RADII, column, frontier, parse_measure, published, recipe
from .standing import neighbours, standing

__all__ = [
    "PAPERS",
    "RADII",
    "acr_error",
    "column",
    "frontier",
    "neighbours",
    "parse_measure",
    "published",
    "recipe",
    "standing",
    "with_interval",
]

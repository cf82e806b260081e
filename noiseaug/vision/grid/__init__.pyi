from .plan import GridModel, GridPlan, GridSpec, load_grid_images
from .run import run_grid
from .tables import TEST, VALIDATION, Cell, GridVotes, curve_table, grid_table, optimum_table

__all__ = [
    "TEST",
    "VALIDATION",
    "Cell",
    "GridModel",
    "GridPlan",
    "GridSpec",
    "GridVotes",
    "curve_table",
    "grid_table",
    "load_grid_images",
    "optimum_table",
    "run_grid",
]

from .grid import Grid, GridModel
from .run import run_grid
from .spec import GridSpec
from .tables import TEST, VALIDATION, Cell, GridVotes, curve_table, grid_table, optimum_table

__all__ = [
    "TEST",
    "VALIDATION",
    "Cell",
    "Grid",
    "GridModel",
    "GridSpec",
    "GridVotes",
    "curve_table",
    "grid_table",
    "optimum_table",
    "run_grid",
]

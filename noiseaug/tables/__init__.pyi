from .columns import (
    CLASS_COLUMN,
    COLUMNS,
    VOTE_COLUMNS,
    distinct,
    estimate_columns,
    frame_of,
    read_table,
    row,
    to_frame,
    words,
)
from .decimals import ceil_decimal, ceil_significant, exact_decimal, floor_decimal, floor_radius
from .levels import LEVELS, shard, steps
from .quantities import QUANTITIES, Measure, Quantity, evaluator, measures

__all__ = [
    "CLASS_COLUMN",
    "COLUMNS",
    "LEVELS",
    "QUANTITIES",
    "VOTE_COLUMNS",
    "Measure",
    "Quantity",
    "ceil_decimal",
    "ceil_significant",
    "distinct",
    "estimate_columns",
    "evaluator",
    "exact_decimal",
    "floor_decimal",
    "floor_radius",
    "frame_of",
    "measures",
    "read_table",
    "row",
    "shard",
    "steps",
    "to_frame",
    "words",
]

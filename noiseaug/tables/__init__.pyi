from .columns import COLUMNS, VOTE_COLUMNS, distinct, read_table, to_frame
from .decimals import ceil_decimal, ceil_significant, exact_decimal, floor_decimal, floor_radius
from .levels import LEVELS, shard, steps

__all__ = [
    "COLUMNS",
    "LEVELS",
    "VOTE_COLUMNS",
    "ceil_decimal",
    "ceil_significant",
    "distinct",
    "exact_decimal",
    "floor_decimal",
    "floor_radius",
    "read_table",
    "shard",
    "steps",
    "to_frame",
]

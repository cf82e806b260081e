from .loading import Inventory, data_root, describe, fetch, load_data, load_images
from .published import DATASETS, Contents, Source
from .readers import FORMATS, SPLITS, DataName, Format, NoSplitError, Part, Reader, named
from .sets import DataSource, LabelledSet

__all__ = [
    "DATASETS",
    "FORMATS",
    "SPLITS",
    "Contents",
    "DataName",
    "DataSource",
    "Format",
    "Inventory",
    "LabelledSet",
    "NoSplitError",
    "Part",
    "Reader",
    "Source",
    "data_root",
    "describe",
    "fetch",
    "load_data",
    "load_images",
    "named",
]

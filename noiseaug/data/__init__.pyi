from .loading import Inventory, data_root, describe, fetch, load_data, load_images, split_name
from .published import DATASETS, Contents, Source
from .sets import SPLITS, DataSource, LabelledSet

__all__ = [
    "DATASETS",
    "SPLITS",
    "Contents",
    "DataSource",
    "Inventory",
    "LabelledSet",
    "Source",
    "data_root",
    "describe",
    "fetch",
    "load_data",
    "load_images",
    "split_name",
]

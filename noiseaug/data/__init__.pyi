from .images import SPLITS, ImageSet, Inventory, data_root, describe, fetch, load_images
from .published import DATASETS, Contents, Source
from .sources import DataSource, load_data

__all__ = [
    "DATASETS",
    "SPLITS",
    "Contents",
    "DataSource",
    "ImageSet",
    "Inventory",
    "Source",
    "data_root",
    "describe",
    "fetch",
    "load_data",
    "load_images",
]

from .counter import DeviceStream, TorchBase, TorchCounter, TorchStream
from .networks import load_network

__all__ = ["DeviceStream", "TorchBase", "TorchCounter", "TorchStream", "load_network"]

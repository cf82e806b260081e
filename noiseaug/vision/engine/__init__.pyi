from .counter import DeviceStream, TorchBase, TorchCounter, TorchStream
from .networks import load_network, own_network

__all__ = ["DeviceStream", "TorchBase", "TorchCounter", "TorchStream", "load_network", "own_network"]

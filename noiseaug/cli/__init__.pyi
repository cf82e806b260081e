from .root import app, main

__all__ = ["app", "main"]

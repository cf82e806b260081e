"""Studies on distributions where the answer is exact: presets, sweeps from a file, and runs that can be resumed."""

"""``python -m notebooks [NAME ...]``: executes notebooks in place, all of them by default."""

from __future__ import annotations

import sys
import time

import nbformat
from nbclient.exceptions import CellExecutionError

from noiseaug.runs import write_atomically
from notebooks import FOLDER, NAMES, execute


def main(names: list[str]) -> int:
    """Executes notebooks by name; one that fails keeps its old outputs. Returns the exit status."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"error: no notebook {unknown[0]!r}; expected {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or NAMES:
        start, path = time.monotonic(), FOLDER / f"{name}.ipynb"
        try:
            notebook = execute(path)
        except (CellExecutionError, RuntimeError) as error:
            failed += 1
            print(f"{name}: failed, its file stays as it was\n{error}", file=sys.stderr)
            continue
        write_atomically(path, nbformat.writes(notebook) + "\n")
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

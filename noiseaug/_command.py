"""Running a command-line application: errors become one line on standard error and exit status 2."""

from __future__ import annotations

import errno
import sys

import typer

from noiseaug.errors import NoiseaugError

__all__ = ["run_app"]


def run_app(app: typer.Typer) -> None:
    """Runs the application and exits.

    Exit status 2 with one line for everything a user can mend, 130 after an interruption; programming errors keep
    their traceback.
    """
    try:
        app()
    except NoiseaugError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.EPIPE:
            # the reader of a pipe went away; nothing is wrong on this side
            sys.stderr.close()
            sys.exit(0)
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        print("\ninterrupted; finished cells are kept, --resume does the rest", file=sys.stderr)
        sys.exit(130)


def _fail(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)

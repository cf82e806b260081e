"""Running a command-line application: errors become one line on standard error and exit status 2."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import NoReturn

import typer

from noiseaug.errors import NoiseaugError
from noiseaug.escaping import for_terminal
from noiseaug.runs import torchrun

__all__ = ["run_app"]

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, or that of the copy which typer carries
_INTERRUPTED = 130


def run_app(app: typer.Typer) -> NoReturn:
    """Runs the application and exits.

    Exit status 2 with one line for everything a user can mend, 130 after an interruption; programming errors keep
    their traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal or a pipe that cannot show β gets a question mark, not a traceback
            stream.reconfigure(errors="replace")
    try:
        status = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except _UsageError as error:
        place = torchrun.place()
        if place is not None and place.rank:
            # all were called alike, and the first of them says so
            torchrun.wait_for_the_end()
            sys.exit(2)
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        _fail(error.format_message().rstrip(".") + hint)  # type: ignore[attr-defined]
    except NoiseaugError as error:
        _fail(str(error))
    except BrokenPipeError:
        # the reader of a pipe went away; the interpreter must not write the rest at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "; make room: what is finished is kept, --resume does the rest" if full else ""
        _fail(f"{error.strerror or error}{where}{remedy}")
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if status == _INTERRUPTED:
        print("\ninterrupted; a command with --resume keeps what is finished and then does the rest", file=sys.stderr)
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    print("error: " + for_terminal(message), file=sys.stderr)
    sys.exit(2)

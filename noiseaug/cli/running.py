"""Running a command-line application: errors become one line on standard error and exit status 2."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from noiseaug.errors import InvalidInputError, NoiseaugError
from noiseaug.escaping import for_terminal
from noiseaug.runs import torchrun

__all__ = ["NamingOptions", "run_app"]

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, or that of the copy which typer carries
_INTERRUPTED = 130


_SPELT = {"num_classes": "classes"}  # parameters of the library that a command calls otherwise


class NamingOptions(TyperGroup):
    """Commands whose errors name their options, where the library names the parameters behind them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInputError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            if command is None:
                raise
            raise InvalidInputError(_in_options(str(error), command.params)) from None


def _in_options(message: str, parameters: Sequence[Any]) -> str:
    """``smooth_sigma is -1; …`` as ``--smooth-sigma is -1; …``, and ``give batch=20`` as ``give --batch 20``."""
    flags = {each.name: next((flag for flag in each.opts if flag.startswith("--")), None) for each in parameters}
    flags |= {name: flags[own] for name, own in _SPELT.items() if own in flags}
    for name, flag in flags.items():
        if flag is not None:
            message = re.sub(rf"^{name}(?= (is|holds|runs) )", flag, message)
            message = re.sub(rf"(?<=\s){name}=\.\.\.", flag, message)
            message = re.sub(rf"(?<=\s){name}=(?=\d)", f"{flag} ", message)
    return message


def run_app(app: typer.Typer) -> NoReturn:
    """Runs the application and exits.

    Exit status 2 with one line for everything a user can mend, 130 after an interruption; programming errors keep
    their traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal or a pipe that cannot show β gets a question mark, not a traceback
            stream.reconfigure(errors="replace")
    message = ""
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
        message = error.format_message().rstrip(".") + hint  # type: ignore[attr-defined]
    except NoiseaugError as error:
        message = str(error)
    except BrokenPipeError:
        # the reader of a pipe went away; the interpreter must not write the rest at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError as error:
        message = f"out of memory{f': {error}' if str(error) else ''}; take less at a time, or a machine that has more"
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "; make room: what is finished is kept, --resume does the rest" if full else ""
        message = f"{error.strerror or error}{where}{remedy}"
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if message:
        _fail(message)  # now that the error is gone, and with it the progress bars of what failed
    if status == _INTERRUPTED:
        print("\ninterrupted; a command with --resume keeps what is finished and then does the rest", file=sys.stderr)
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    print("error: " + for_terminal(message), file=sys.stderr)
    sys.exit(2)

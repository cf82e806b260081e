"""``noiseaug recertify`` and ``merge``, which make logs from logs; they parse, call and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import OUTPUT, VOTES
from noiseaug.cli.printing import warnings_in_lines
from noiseaug.cli.routing import RouterRule
from noiseaug.cli.rules import Radius, Rule, Settings, make_router_rule, make_rule

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (recertify, merge):
        app.command()(command)


def recertify(
    log: Annotated[Path, typer.Argument(help="A log of noiseaug certify.")],
    out: Annotated[Path, typer.Option("--out", help="The new log.", rich_help_panel=OUTPUT)],
    failure_prob: Annotated[
        float | None,
        typer.Option(
            "--failure-prob", help="New failure probability.", show_default="that of the log", rich_help_panel=VOTES
        ),
    ] = None,
    certificate: Rule = "cohen",
    radius: Radius = None,
    set_: Settings = None,
    randomised: Annotated[
        bool | None,
        typer.Option(
            "--randomised/--no-randomised",
            help="Whether bounds are randomised.",
            show_default="as in the log",
            rich_help_panel=VOTES,
        ),
    ] = None,
    router_certificate: RouterRule = None,
) -> None:
    """Certify again from the votes in a log: another failure probability, rule or radius, no forward pass."""
    from noiseaug.certification import recertify_log

    check_files({"--out": out}, {"recertify": log})
    with warnings_in_lines():
        rule, router_rule = make_rule(certificate, radius, set_), make_router_rule(router_certificate, radius)
        frame = recertify_log(log, out, rule, failure_prob, randomised, router_rule)
    print(f"{len(frame)} inputs: {out}")


def merge(
    logs: Annotated[list[Path], typer.Argument(help="Logs of all shards of one run.")],
    out: Annotated[Path, typer.Option("--out", help="Log of the whole run.", rich_help_panel=OUTPUT)],
    partial: Annotated[
        bool, typer.Option("--partial", help="Join them although shards or inputs are missing.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Join the logs of the shards of one run."""
    from noiseaug.records import merge_logs

    check_files({"--out": out}, {"merge": logs})
    with warnings_in_lines():
        merge_logs(logs, out, partial=partial)
    print(f"{len(logs)} shards: {out}")

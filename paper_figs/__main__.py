"""``python -m paper_figs``: the command ``noiseaug figures`` by itself, as it runs in any checkout."""

from __future__ import annotations

import typer

from noiseaug.cli.figures import register
from noiseaug.cli.running import run_app

app = typer.Typer(
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
register(app)

if __name__ == "__main__":
    run_app(app)

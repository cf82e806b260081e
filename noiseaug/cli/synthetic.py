"""The command line of the analytic studies; it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import EXECUTION, OUTPUT, Resume
from noiseaug.cli.printing import print_files
from noiseaug.cli.running import run_app
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal

if TYPE_CHECKING:
    import pandas as pd

    from noiseaug.synthetic.presets import Preset
    from noiseaug.synthetic.study import Study

__all__ = ["app", "main"]

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_OUT = Path("noiseaug-results")
STUDY = "Study"
_VERDICTS = (
    "noise: helps, if some α > 0 surely gains over α = 0; no effect, if no α changes the value by more than 0.0005;\n"
    "hurts, if no α gains and some α surely loses (the best α is then 0); unclear, if the intervals do not tell."
)

Out = Annotated[
    Path | None,
    typer.Option("--out", help="Directory of the run.", show_default="noiseaug-results/NAME", rich_help_panel=OUTPUT),
]
Jobs = Annotated[int, typer.Option("--jobs", help="Worker processes; -1 for one per core.", rich_help_panel=EXECUTION)]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of everything sampled.", show_default="the study's own", rich_help_panel=STUDY),
]
Fast = Annotated[bool, typer.Option("--fast", help="Run a small version of a preset.", rich_help_panel=STUDY)]
Dask = Annotated[
    str | None,
    typer.Option("--dask", help="Run on the Dask scheduler at this address.", rich_help_panel=EXECUTION),
]


@app.callback()
def study(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Directory of the study.", show_default="noiseaug-results/study", rich_help_panel=OUTPUT
        ),
    ] = None,
    jobs: Jobs = -1,
    seed: Seed = None,
    fast: Fast = False,
    resume: Resume = False,
    dask: Dask = None,
) -> None:
    """Study when training with noise helps a smoothed classifier, and by how much.

    Without a command, the default study runs, in under two minutes on two cores. It writes a table, pictures (PNG) and
    the data behind them.
    """
    if context.invoked_subcommand is not None:
        for name in context.params:
            source = context.get_parameter_source(name)
            if source is not None and source.name != "DEFAULT":
                raise InvalidInputError(f"--{name} stands before {context.invoked_subcommand}; options go after it")
        return
    from noiseaug.synthetic.presets import DEFAULT, PRESETS
    from noiseaug.synthetic.runs import RunDirectory

    root = out or _OUT / "study"
    studies = {name: _seeded(PRESETS[name].build(fast), seed) for name in DEFAULT}
    # refuse before the first of them has run
    for name, study in studies.items():
        RunDirectory(root / name, study).check(resume)
    if (root / "summary.csv").exists() and not any((root / name / "run.json").exists() for name in DEFAULT):
        raise InvalidInputError(f"{root} holds a summary.csv that is no study's; choose another --out")
    lines, files = [], []
    for name, study in studies.items():
        summary, written = _run(study, root / name, PRESETS[name], jobs, resume, dask)
        lines.append(summary)
        files += written
    _report_study(lines, root, files)


@app.command("list")
def list_presets() -> None:
    """List the presets, a line each."""
    from noiseaug.synthetic.presets import PRESETS

    for preset in PRESETS.values():
        print(f"{preset.name:<15} {preset.title}{'' if preset.default else '  [not in the default study]'}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="A preset, or a file that describes a sweep.")],
    out: Out = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=V1,V2",
            help="Replace a grid field or a task parameter; start:stop:num for equal steps. Repeatable.",
            rich_help_panel=STUDY,
        ),
    ] = None,
    jobs: Jobs = -1,
    seed: Seed = None,
    fast: Fast = False,
    resume: Resume = False,
    dask: Dask = None,
) -> None:
    """Run one preset, or the sweep that a TOML file describes."""
    from noiseaug.synthetic.presets import custom, find
    from noiseaug.synthetic.study import read_toml

    settings: dict[str, list[Any]] = {}
    for text in setting or []:
        key, values = _parse_setting(text)
        if key in settings:
            raise InvalidInputError(f"--set gives {key} twice; expected all its values in one, as in {key}=V1,V2")
        settings[key] = values
    view = custom.PRESET
    if name.endswith(".toml"):
        if fast:
            raise InvalidInputError("--fast is for presets; set the grid in the file or with --set")
        described = read_toml(Path(name))
    else:
        preset = find(name)
        described = preset.build(fast)
        view = preset if preset.shows(settings) else view
    described = _seeded(described.with_settings(settings), seed)
    path = out or _OUT / described.name
    check_files({"--out": [path / file for file in ("run.json", "table.csv", "summary.csv")]}, {"run": name})
    summary, files = _run(described, path, view, jobs, resume, dask)
    _print_summary(summary, described.title)
    print_files(files)


def _seeded(study: Study, seed: int | None) -> Study:
    from dataclasses import replace

    return study if seed is None else replace(study, seed=seed)


def _run(
    study: Study, path: Path, view: Preset, jobs: int, resume: bool, dask: str | None
) -> tuple[pd.DataFrame, list[Path]]:
    """Runs a study, draws it, and returns its summary and the files written."""
    from noiseaug.runs import save_figure, write_atomically
    from noiseaug.synthetic.runs import run_study

    table = run_study(study, path, jobs=jobs, resume=resume, dask=dask)
    summary = view.summarise(table)
    write_atomically(path / "summary.csv", summary.to_csv(index=False))
    written = (path / name for name in ("table.csv", "table.parquet", "summary.csv", "run.json"))
    files = [file for file in written if file.exists()]
    for name, figure in view.draw(table).items():
        target = path / f"{name}.png"
        save_figure(figure, target)
        files.append(target)
    return summary, files


def _parse_setting(text: str) -> tuple[str, list[Any]]:
    """KEY=V1,V2 or KEY=start:stop:num."""
    from noiseaug.tables import steps
    from noiseaug.tables.levels import plain_value

    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise InvalidInputError(f"--set {text!r} is not of the form KEY=V1,V2")
    parts = value.split(":")
    if len(parts) == 3:
        try:
            start, stop, num = float(parts[0]), float(parts[1]), int(parts[2])
        except ValueError:
            raise InvalidInputError(f"--set {text!r}: expected numbers in start:stop:num") from None
        return key, list(steps(f"--set {key}", start, stop, num))
    return key, [plain_value(part) for part in value.split(",")]


def _report_study(lines: list[pd.DataFrame], root: Path, files: list[Path]) -> None:
    import pandas as pd

    from noiseaug.runs import write_atomically

    summary = pd.concat([part for part in lines if len(part)], ignore_index=True)
    write_atomically(root / "summary.csv", summary.to_csv(index=False))
    _print_summary(summary, "Does training with noise help the smoothed classifier?")
    print_files([root / "summary.csv", *files])


def _print_summary(summary: pd.DataFrame, title: str) -> None:
    """The answer as a table that is read in a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if summary.empty:
        print(f"{title}: no curve holds α = 0 to compare with; the values are in table.csv")
        return
    # as Text, since a title from a file is no markup
    table = Table(title=Text(for_terminal(title)), header_style="bold", title_justify="left")
    for heading, justify in (
        ("setting", "left"),
        ("quantity", "left"),
        ("β", "right"),
        ("r", "right"),
        ("α = 0", "right"),
        ("best α", "right"),
        ("at best α", "right"),
        ("gain", "right"),
        ("noise", "left"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    colours = {"helps": "green", "hurts": "magenta"}
    for row in summary.to_dict("records"):
        verdict = str(row["noise"])
        table.add_row(
            Text(for_terminal(str(row["setting"]))),
            str(row["quantity"]).replace("_", " "),
            f"{row['smooth_sigma']:g}",
            "" if row["radius"] != row["radius"] else f"{row['radius']:g}",
            f"{row['without_noise']:.4f}",
            f"{row['best_train_sigma']:.4g}",
            f"{row['with_best_noise']:.4f}",
            f"{row['gain'] + 0.0:+.4f}",
            verdict,
            style=colours.get(verdict.split(",")[0]),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(table)
    print(_VERDICTS)


def main() -> None:
    """Entry point of ``python -m noiseaug.synthetic``."""
    run_app(app)

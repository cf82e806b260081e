"""Malformed calls of every command: a call that works, with something odd in the place of a file or of an option.

Options and their kinds are read from the commands themselves, so that a new option is tried without being named here.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

from noiseaug.cli import app
from tests.helpers import damage
from tests.helpers.logs import certified, write

VOTES = ("--n", "100", "--n0", "10", "--failure-prob", "0.01")
FEW = ("--images", "4", "--points", "12")
LEVELS = ("--train-sigma", "0,0.5", "--smooth-sigma", "0.5", "--radii", "0")
WORKING: dict[str, tuple[str, ...]] = {
    "certify": ("--smooth-sigma", "0.5", "--data", "d.npz", *VOTES, "--out", "o.jsonl"),
    "predict": ("--smooth-sigma", "0.5", "--data", "d.npz", "--n", "100", "--out", "o.csv"),
    "recertify": ("a.jsonl", "--failure-prob", "0.01", "--out", "o.jsonl"),
    "merge": ("a.jsonl", "b.jsonl", "--out", "o.jsonl"),
    "report": ("a.jsonl",),
    "bridge": ("--data", "d.npz", *FEW, *LEVELS, "--votes", "20", "--no-linear", "--out", "o"),
    "advise": ("--data", "d.npz", *FEW, "--smooth-sigma", "0.5", "--train-sigma", "0,0.5", "--votes", "20"),
    "interference": ("--data", "d.npz", "--out", "o"),
    "data": (),
    "figures": ("list",),
    "synthetic": (),
    "synthetic list": (),
    "synthetic run": ("s.toml", "--jobs", "1", "--out", "o"),
    "train": ("--data", "d.npz", "--model", "mlp", "--epochs", "1", "--train-sigma", "0.25", "--out", "o"),
    "attack": (
        "m.safetensors",
        "--smooth-sigma",
        "0.5",
        "--data",
        "d.npz",
        "--steps",
        "2",
        "--samples",
        "2",
        "--n",
        "20",
    ),
    "grid": ("--data", "d.npz", "--model", "mlp", "--epochs", "1", *LEVELS, "--n", "20", "--n0", "5", "--out", "o"),
}
"""Arguments with which a command works, on the files of :func:`lay_out`."""

NETWORKS = ("train", "attack", "grid")
LONG = ("synthetic", "figures", "data")  # a good call of them takes minutes or the network
READS = {
    "certify": ("d.npz",),
    "predict": ("d.npz",),
    "recertify": ("a.jsonl",),
    "merge": ("a.jsonl", "b.jsonl"),
    "report": ("a.jsonl", "p.tsv"),
    "bridge": ("d.npz", "a.jsonl", "g.csv"),
    "advise": ("d.npz", "g.csv"),
    "interference": ("d.npz",),
    "synthetic run": ("s.toml",),
    "train": ("d.npz", "m.safetensors"),
    "attack": ("d.npz", "m.safetensors", "a.jsonl"),
    "grid": ("d.npz", "g.csv"),
}
FLAGS = {"bridge": {"a.jsonl": "--log", "g.csv": "--grid"}, "advise": {"g.csv": "--record"}, "report": {"p.tsv": ""}}
FLAGS |= {"train": {"m.safetensors": "--init-from"}, "attack": {"a.jsonl": "--log"}, "grid": {"g.csv": "--reference"}}

INTEGERS = ("0", "-1", "-9223372036854775809", "2147483648", "9223372036854775807", "9223372036854775808", "1e3")
INTEGERS += ("18446744073709551616", "1" + "0" * 400, "9" * 5000, "1.5", "nan", "", "x", "٣", "0x10", "1_0", " 7 ")
FLOATS = ("nan", "inf", "-inf", "-1", "0", "-0.0", "1e308", "1e-308", "5e-324", "1e400", "9" * 400, "", "x", "1e-200")
WORDS = ("", " ", "x", "..:x", ":y", "os:system", "builtins:input", "cpu:y", "hpu", "cuda:99999999999999999999", "meta")
WORDS += ("[/bold]", "\x1b[31m", "-", "a" * 5000, "a/" * 1500, "~nobody/x.npz", "0:1:999999999999", "0:nan:3", "1,,2")
WORDS += ("1e999", "i/k", "0/0", "1/1", "0/" + "9" * 5000, "digits:", "digits:0", "digits:0,0", "d.npz:0,7", "d.npz:")
WORDS += ("=", "x=", "=1", "steps=-1", "radius=1e308", "copies=1000000000000", "tolerance=0", "radii=x", "n=1e18")
WORDS += (
    "dim=1000000000000",
    "std_1=1e-300",
    "train_sigma=1e308",
    "weight=nan",
    "/",
    "/dev/null",
    "\udcff",
    "tcp://x:1",
)
SETTINGS = ("dim=0", "dim=1000000000000", "dim=1e400", "std_1=1e-300", "std_1=1e-160", "std_0=1e308", "prior=1e-300")
SETTINGS += ("train_sigma=1e308", "train_sigma=1e-300", "smooth_sigma=1e308", "smooth_sigma=5e-324", "radii=1e308")
SETTINGS += ("n=1000000000000", "votes=9223372036854775807", "failure_prob=1e-300", "votes_per_point=10000000000000")
SETTINGS += (
    "size=1000000",
    "tries=100000000000",
    "separation=1e-20",
    "separation=1e308",
    "noise=1e308",
    "covariance=1e308",
)
PLACES = (
    "",
    "/",
    "/dev/full",
    "/dev/null",
    "FIFO",
    "folder",
    "d.npz/x",
    "a" * 300,
    "a/" * 3000 + "o",
    "missing/o",
    ".",
    "\udcff",
)


@dataclass(frozen=True)
class Call:
    """A call in a folder of its own.

    Attributes:
        arguments: after ``noiseaug``.
        make: what to do to the folder before.
        refused: whether the call must be refused; else it may also work.
        told: what it is, for messages.
    """

    arguments: tuple[str, ...]
    make: Callable[[Path], object]
    refused: bool
    told: str

    def __repr__(self) -> str:
        return f"{self.told}: noiseaug {' '.join(each[:80] for each in self.arguments)!r}"


@cache
def parameters(command: str) -> tuple[Any, ...]:
    """The options and arguments of a command, as click knows them."""
    found: Any = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]
    return tuple(each for each in found.params if each.name not in ("help", "version"))


@cache
def commands() -> tuple[str, ...]:
    """Every command, those that WORKING does not know too."""
    root: Any = typer.main.get_command(app)
    return (*root.commands, *(f"synthetic {name}" for name in root.commands["synthetic"].commands))


def lay_out(folder: Path, checkpoint: bytes | None = None) -> None:
    """The good files."""
    damage.npz(folder / "d.npz")
    write(folder / "a.jsonl", range(0, 12, 2), certified, shard="0/2", noise_error=0.0)
    write(folder / "b.jsonl", range(1, 12, 2), certified, shard="1/2", noise_error=0.0)
    (folder / "s.toml").write_text(
        "[[part]]\ntask = 'ConcentricGaussians'\nfixed = {dim = 3, std_1 = 0.3, std_0 = 0.4}\n"
        "grid = {train_sigma = [0, 0.2], smooth_sigma = [0.25]}\n"
    )
    (folder / "mine.py").write_text(damage.BODIES["good"])
    if checkpoint is not None:
        (folder / "m.safetensors").write_bytes(checkpoint)


def draw(rng: random.Random, names: list[str]) -> Call:
    """A malformed call of one of some commands."""
    command = rng.choice(names)
    ways = [_odd_option] * 4 + [_odd_place] + [_odd_file] * (6 if command in READS else 0)
    ways += [_odd_classifier] * 2 if command in ("certify", "predict") else []
    return rng.choice(ways)(rng, command)


def _call(command: str, arguments: tuple[str, ...], make: Callable[[Path], object], refused: bool, told: str) -> Call:
    return Call((*command.split(), *arguments), make, refused, told)


def _nothing(folder: Path) -> None:
    pass


def _odd_option(rng: random.Random, command: str) -> Call:
    """An option with a value that is odd for its kind."""
    # compiling takes a minute
    options = [each for each in parameters(command) if each.opts[0].startswith("-") and each.name != "compiled"]
    working = WORKING.get(command, ())
    if not options:
        return _call(command, (*working, "--nonsense"), _nothing, True, "an unknown option")
    option, sure = rng.choice(options), False
    if rng.random() < 0.05:
        given = ("--nonsense",) if rng.random() < 0.5 else (rng.choice(WORDS[:20]),) * 3
        return _call(command, (*working, *given), _nothing, given[0] == "--nonsense", "unknown")
    kind = _kind(option)
    if option.name in ("set_", "setting"):
        value = rng.choice(SETTINGS + WORDS)
    elif getattr(option, "is_flag", False):
        value = ""
    elif kind in ("int", "float"):
        value = rng.choice(INTEGERS + FLOATS if kind == "int" else FLOATS)
        sure = value in ("", "x")
    elif kind == "path":
        value = rng.choice(("missing", *PLACES, *WORDS))
    else:
        value = rng.choice(WORDS + FLOATS + INTEGERS)
    flag = option.opts[0]
    if command in LONG:
        if option.name not in ("jobs", "seed"):
            return _call(command, ("--nonsense", flag), _nothing, True, "an unknown option")
        value, sure = "x y", True
    rest = _without(working, flag)
    given = (flag,) if getattr(option, "is_flag", False) else (flag, value)
    return _call(command, (*rest, *given), _fill_places, sure, f"{flag} = {value[:60]!r}")


def _kind(option: Any) -> str:
    """What an option takes; typer keeps it in one place or another, by its version."""
    told = str(getattr(option, "type_descriptor", "") or option.type).lower()
    return next((name for name in ("float", "path", "int") if re.search(rf"\b{name}", told)), "text")


def _without(arguments: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """The arguments less one option."""
    if flag not in arguments:
        return arguments
    at = arguments.index(flag)
    return arguments[:at] + arguments[at + 2 :]


def _fill_places(folder: Path) -> None:
    os.mkfifo(folder / "FIFO")
    (folder / "folder").mkdir()
    (folder / "folder" / "x").write_text("x")


def _odd_place(rng: random.Random, command: str) -> Call:
    """Nowhere to write to."""
    working = WORKING.get(command, ())
    if "--out" not in working:
        return _odd_option(rng, command)
    place = rng.choice(PLACES)
    return _call(command, (*_without(working, "--out"), "--out", place), _fill_places, False, f"--out {place[:60]!r}")


def _odd_file(rng: random.Random, command: str) -> Call:
    """Something else in the place of an input."""
    name = rng.choice(READS[command])
    arguments, flag = WORKING[command], FLAGS.get(command, {}).get(name)
    if flag is not None:
        arguments = (*arguments, *([flag] if flag else []), name)
    told, make, sure = _damage_of(rng, name)

    def apply(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return _call(command, arguments, apply, sure, f"{name}: {told}")


def _damage_of(rng: random.Random, name: str) -> tuple[str, damage.Maker, bool]:
    draws = random.Random(rng.randrange(2**32))
    if rng.random() < 0.25:
        kind = rng.choice(list(damage.ANY))
        return kind, damage.ANY[kind], name != "s.toml" or kind != "empty"
    if name.endswith(".npz"):
        if rng.random() < 0.2:
            share = rng.random()
            return f"cut at {share:.3f}", damage.cut(damage.npz, share), True
        kind = rng.choice(list(damage.BAD_NPZ))
        return kind, damage.BAD_NPZ[kind], True
    kinds: dict[str, list[Any]] = {
        ".jsonl": damage.ODD_LOGS,
        ".tsv": [damage.tsv],
        ".csv": [damage.table],
        ".toml": [damage.toml],
    }
    suffix = Path(name).suffix
    if suffix in kinds:
        kind = rng.choice(kinds[suffix])
        return f"odd {suffix} of {draws.getstate()[1][0]}", lambda path: kind(path, draws), False
    return "noise", damage.ANY["noise"], True


def _odd_classifier(rng: random.Random, command: str) -> Call:
    """A module of the user's that does something else."""
    kind = rng.choice(list(damage.BODIES))
    arguments = (*WORKING[command], "--classifier", "mine:label", "--classes", "2")

    def make(folder: Path) -> None:
        (folder / "mine.py").write_text(damage.BODIES[kind])

    return _call(command, arguments, make, kind != "good", f"a classifier: {kind}")


def some(seed: int, count: int, names: list[str]) -> Iterator[Call]:
    """Calls of a seed."""
    rng = random.Random(seed)
    return (draw(rng, names) for _ in range(count))

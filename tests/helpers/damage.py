"""Files of every kind that a command reads: good ones, and damaged ones of every kind that is known."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.logs import RUN, outcome, write

Maker = Callable[[Path], object]

X = np.linspace(0, 1, 12 * 9).reshape(12, 1, 3, 3).astype(np.float32)
Y = np.arange(12) % 2
ARRAYS = {"x": X, "y": Y, "train_x": X[::-1].copy(), "train_y": Y[::-1].copy()}
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    2**64,
    10**400,
    1.5,
    1e308,
    5e-324,
    "",
    "x",
    "1",
    [],
    [[1]],
    {},
)
"""Values that belong nowhere."""


def npz(path: Path, **changes: Any) -> None:
    """A data set of 12 small images, with other arrays in the place of some."""
    with path.open("wb") as stream:
        np.savez(stream, **{key: value for key, value in (ARRAYS | changes).items() if value is not None})


def npy(header: str | bytes, content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """The bytes of an array with any header."""
    text = header.encode("latin1") if isinstance(header, str) else header
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + content


def container(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _with_entry(content: bytes) -> Maker:
    def make(path: Path) -> None:
        stream = io.BytesIO()
        np.save(stream, Y)
        path.write_bytes(container({"x.npy": content, "y.npy": stream.getvalue()}))

    return make


def _patched(old: bytes, new: bytes) -> Maker:
    """The good file with some bytes replaced wherever they are."""

    def make(path: Path) -> None:
        npz(path)
        path.write_bytes(path.read_bytes().replace(old, new))

    return make


def _container_says(flags: int = 0, method: int = 0) -> Maker:
    """The good file, whose entries are said to be packed in some way."""

    def make(path: Path) -> None:
        npz(path)
        content = bytearray(path.read_bytes())
        for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = content.find(start)
            while at >= 0:
                struct.pack_into("<HH", content, at + offset, flags, method)
                at = content.find(start, at + 1)
        path.write_bytes(bytes(content))

    return make


def _arrays(**changes: Any) -> Maker:
    return lambda path: npz(path, **changes)


def _header(shape: str, kind: str = "'<f4'") -> str:
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n"


def _bomb(path: Path) -> None:
    """300 MB of zeros in 300 kB."""
    shape = (8, 1, 3, 3_300_000)
    packed = zlib.compressobj(1, zlib.DEFLATED, -15)
    crc, size, parts = 0, 0, []
    head = npy(_header(str(shape)).rstrip("\n").ljust(117) + "\n")
    pieces = [head, *[bytes(1 << 20)] * (4 * int(np.prod(shape)) >> 20)]
    pieces.append(bytes(4 * int(np.prod(shape)) + len(head) - sum(map(len, pieces))))
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        parts.append(packed.compress(piece))
    body = b"".join([*parts, packed.flush()])
    name = b"x.npy"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(body), size, len(name), 0)
    local = b"PK\x03\x04" + common + name + body
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    path.write_bytes(local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0))


def _stream(path: Path) -> None:
    path.write_bytes(container({"x.npy": b"", "y.npy": b""}))


BAD_NPZ: dict[str, Maker] = {
    "checksum": _patched(X.tobytes()[:64], bytes(64)),
    "method 99": _container_says(method=99),
    "encrypted": _container_says(flags=1),
    "an entry that is no array": _with_entry(b"no array"),
    "an empty entry": _stream,
    "a header that is no literal": _with_entry(npy("{'descr': x, 'shape'")),
    "a header that no parser ends": _with_entry(npy("{'descr': '<f4', 'shape': (3L, ((((")),
    "nesting": _with_entry(npy("(" * 9000)),
    "no text": _with_entry(npy(b"\xff\xfe" * 30)),
    "version 9": _with_entry(npy(_header("(12, 9)"), bytes(432), (9, 0))),
    "10¹² values": _with_entry(npy(_header("(1000000000000,)"))),
    "2⁷⁰ values": _with_entry(npy(_header("(1180591620717411303424, 9)"))),
    "a negative shape": _with_entry(npy(_header("(-12, -9)"), bytes(432))),
    "no values of any size": _with_entry(npy(_header("(0, 4611686018427387904, 4611686018427387904)"))),
    "values without size": _with_entry(npy(_header("(1000000000000,)", "'<U0'"))),
    "objects": _with_entry(npy(_header("(12,)", "'|O'"), bytes(96))),
    "fields": _arrays(x=np.zeros(12, [("a", "f4"), ("b", "i2")])),
    "bomb": _bomb,
    "a single number": _arrays(x=np.float32(1), y=np.int64(1)),
    "no images": _arrays(x=X[:0], y=Y[:0]),
    "dates": _arrays(x=np.zeros((12, 9), "M8[s]")),
    "dates as labels": _arrays(y=np.zeros(12, "M8[s]")),
    "durations as labels": _arrays(y=np.zeros(12, "m8[s]")),
    "complex": _arrays(x=X.reshape(12, 9) + 1j),
    "words": _arrays(x=np.full((12, 9), "a")),
    "NaN": _arrays(x=X * np.float32(np.nan)),
    "beyond float32": _arrays(x=np.full((12, 9), 1e300)),
    "labels to 2⁶³": _arrays(y=np.full(12, 2**63, np.uint64)),
    "fractions as labels": _arrays(y=Y + 0.5),
    "too many labels": _arrays(y=np.zeros(60, int)),
    "five axes": _arrays(x=X[None]),
    "no x": _arrays(x=None, y=None),
    "no y": _arrays(y=None),
}
"""Files of data sets, all to be refused."""


def _log(change: Callable[[list[str], random.Random], None]) -> Callable[[Path, random.Random], None]:
    def make(path: Path, rng: random.Random) -> None:
        write(path, range(5))
        lines = path.read_text().splitlines()
        change(lines, rng)
        path.write_text("\n".join(lines) + "\n")

    return make


def _odd_text(rng: random.Random) -> str:
    value = rng.choice([*ODD, float("nan"), float("inf"), "deep"])
    return "[" * 50_000 if value == "deep" else json.dumps(value)


def _odd_header(lines: list[str], rng: random.Random) -> None:
    header = json.loads(lines[0])
    place = header["description"] if rng.random() < 0.9 else header
    key = rng.choice([*RUN, "train_sigma", "noise_error", "execution", "precision"]) if place is not header else None
    key = key or rng.choice(["noiseaug", "description"])
    if rng.random() < 0.1:
        place.pop(key, None)
    else:
        place[key] = "@@"
    lines[0] = json.dumps(header).replace('"@@"', _odd_text(rng))


def _odd_line(lines: list[str], rng: random.Random) -> None:
    number = rng.randrange(1, len(lines))
    entry = json.loads(lines[number])
    key = rng.choice([*entry, "more"])
    entry[key] = "@@"
    lines[number] = json.dumps(entry).replace('"@@"', _odd_text(rng))


def _more_lines(lines: list[str], rng: random.Random) -> None:
    more = ["", "{}", "[]", "null", "1" * 5000, "[" * 100_000, "\x00", lines[0], lines[1], outcome(0).line(), "{" * 99]
    lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(more))


ODD_LOGS = [_log(_odd_header), _log(_odd_header), _log(_odd_line), _log(_odd_line), _log(_more_lines)]
"""Logs with something odd in them, which may be harmless."""


def tsv(path: Path, rng: random.Random) -> None:
    """A published log with an odd cell, or a good one."""
    cells = [["idx", "label", "predict", "radius", "correct", "time"]]
    cells += [[str(i), str(i % 3), "1", "0.5", str(int(i % 3 == 1)), "0:00:01.5"] for i in range(5)]
    if rng.random() < 0.9:
        row = rng.choice(cells)
        row[rng.randrange(6)] = rng.choice(
            ["", "x", "-2", "1e999", "nan", "9" * 30, "9" * 5000, "1.5", "\x00", "1 day, x"]
        )
    path.write_text("\n".join("\t".join(row) for row in cells) + "\n")


def table(path: Path, rng: random.Random) -> None:
    """A table of a grid or a record with odd cells."""
    columns = ["task", "model", "train_sigma", "smooth_sigma", "quantity", "radius", "value", "lower", "upper", "split"]
    columns += ["votes", "vote_failure_prob", "n", "seed", "data", "predictor", "regret", "predicted_train_sigma"]
    columns += ["measured_train_sigma", "source", "risk"]
    good = [
        "d",
        "m",
        "0.5",
        "0.5",
        "risk",
        "",
        "0.2",
        "0.1",
        "0.3",
        "test",
        "20",
        "0.001",
        "5",
        "0",
        "d",
        "kernel",
        "0",
    ]
    good += ["0.5", "0.5", "s", "0.1"]
    rows = [list(good) for _ in range(3)]
    for _ in range(rng.randrange(3)):
        rows[rng.randrange(3)][rng.randrange(len(columns))] = rng.choice(
            ["", "x", "1e999", "9" * 400, "-1", "\x00", '"']
        )
    if rng.random() < 0.3:
        place = rng.randrange(len(columns))
        columns[place] = rng.choice(["", "x", columns[0]])
    text = "\n".join(",".join(row) for row in [columns, *rows])
    path.write_text(text[: rng.randrange(len(text))] if rng.random() < 0.3 else text + "\n")


def toml(path: Path, rng: random.Random) -> None:
    """A sweep with something odd in it."""
    settings = {
        "dim": "3",
        "std_1": "0.3",
        "std_0": "0.4",
        "train_sigma": "[0, 0.2]",
        "smooth_sigma": "[0.25]",
        "radii": "[0.1]",
        "quantities": '["risk", "acr", "certified_accuracy", "finite_sample_certified_accuracy"]',
        "method": '["exact"]',
        "n": "100",
        "failure_prob": "0.01",
        "votes": "100",
        "votes_per_point": "10",
        "seed": "1",
        "title": '"t"',
        "name": '"n"',
        "task": '"ConcentricGaussians"',
    }
    odd = [
        "9" * 5000,
        "1e308",
        "1e-300",
        "5e-324",
        "-1",
        "nan",
        "inf",
        '"x"',
        "[]",
        "[[1]]",
        "{}",
        "true",
        "1979-05-27",
    ]
    odd += ["{start = 0, stop = 1, num = 1e9}", "{start = 0, stop = inf, num = 3}", "[1e-200, 1e200]", "1000000000000"]
    odd += ["9223372036854775807", "9223372036854775808", "[" * 20_000, '"[/bold]"', '"\\u0000"', "[0, 1e308]", "'''"]
    for _ in range(rng.choice([1, 1, 1, 2])):
        settings[rng.choice(list(settings))] = rng.choice(odd)
    top, fixed = ("name", "title", "seed"), ("dim", "std_1", "std_0")
    lines = [f"{key} = {settings[key]}" for key in top]
    lines += ["[[part]]", f"task = {settings['task']}"]
    lines.append(f"fixed = {{{', '.join(f'{key} = {settings[key]}' for key in fixed)}}}")
    grid = [key for key in settings if key not in (*top, *fixed, "task")]
    lines += ["[part.grid]", *(f"{key} = {settings[key]}" for key in grid)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


BODIES = {
    "good": "import numpy as np\nlabel = lambda x: np.zeros(len(x), int)\n",
    "stops": "def label(x):\n    raise StopIteration\n",
    "fails": "def label(x):\n    return x / {}\n",
    "exits": "def label(x):\n    raise SystemExit(7)\n",
    "columns": "import numpy as np\nlabel = lambda x: np.zeros((len(x), 1), int)\n",
    "nothing": "label = lambda x: None\n",
    "words": "label = lambda x: ['a'] * len(x)\n",
    "ragged": "label = lambda x: [[1], [1, 2]]\n",
    "fractions": "label = lambda x: x.reshape(len(x), -1)[:, 0] * 0 + .5\n",
    "large": "label = lambda x: [2**70] * len(x)\n",
    "no function": "label = 7\n",
    "a class": "class label:\n    pass\n",
    "recursion": "def label(x):\n    return label(x)\n",
    "syntax": "def label(:\n",
    "import fails": "1 / 0\n",
    "import exits": "import sys; sys.exit(5)\n",
    "import recursion": "def f(): f()\nf()\n",
    "no label": "x = 1\n",
}
"""Modules with a classifier that misbehaves, or without one."""


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


ANY: dict[str, Maker] = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "FIFO": lambda path: os.mkfifo(path),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "empty": lambda path: path.touch(),
    "one byte": lambda path: path.write_bytes(b"\x00"),
    "noise": lambda path: path.write_bytes(random.Random(0).randbytes(5000)),
    "a terabyte of nothing": _sparse,
}
"""What is no file of any kind that a command reads."""


def cut(make: Maker, share: float) -> Maker:
    """A file that ends early."""

    def made(path: Path) -> None:
        make(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return made


def flipped(make: Maker, place: float) -> Maker:
    """A file in which one byte is another."""

    def made(path: Path) -> None:
        make(path)
        content = bytearray(path.read_bytes())
        content[int(place * len(content)) % len(content)] ^= 0x55
        path.write_bytes(bytes(content))

    return made

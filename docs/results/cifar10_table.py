"""The table of cifar10_objectives.sh: a row for each method, the published one beside it.

    python docs/results/cifar10_table.py FOLDER [--out docs/results/cifar10_objectives.csv]

Reads the logs and training runs of the folder; prints the rows as Markdown and writes all numbers, seeds averaged.
Published: paper_figs/data. A method without a published row has none beside it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.records import read_log
from noiseaug.report import summarise
from noiseaug.runs import write_atomically
from noiseaug.vision.models import read_metadata

DATA = Path(__file__).resolve().parents[2] / "paper_figs" / "data"
RADII = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)
# our rows: name in words, the published row that belongs to it (None: there is none)
METHODS = {
    "gaussian": ("Gaussian", "Cohen et al."),
    "smoothadv": ("SmoothAdv", "SmoothAdv"),
    "adre": ("ADRE", None),
    "adreadv": ("ADREADV", None),
    "consistency": ("Consistency", "Consistency"),
    "pretrained": ("pre-training on five classes", "+ pre-training"),
    "selftrained": ("5 000 labels, self-training", "+ semi-supervision"),
}


def rows(folder: Path) -> pd.DataFrame:
    """A row for each method, level and seed: certified accuracies, ACR, images, votes, times."""
    found = []
    for log in sorted(folder.glob("*.jsonl")):
        name = re.fullmatch(r"([a-z]+)-([0-9.]+)-s([0-9]+)", log.stem)
        if name is None or name[1] not in METHODS:
            raise SystemExit(f"{log} is none of METHOD-SIGMA-sSEED.jsonl")
        description, frame = read_log(log)
        summary = summarise({log.name: (description, frame)}, RADII).iloc[0]
        trained = read_metadata(folder / log.stem)
        row = {"method": name[1], "sigma": float(name[2]), "seed": int(name[3])}
        row |= {"objective": trained["objective"]["name"], "network": trained["arch"], "epochs": trained["epochs"]}
        row |= {"images": len(frame), "n": description["n"], "precision": description["precision"]}
        # 0 says nothing where the votes certify no such radius
        budget = VoteBudget(description["n"], description["failure_prob"])
        reach = largest_radius(CertificationSetting(description["smooth_sigma"], budget))
        row |= {f"ca_{radius:g}": summary[f"ca_{radius:g}"] if radius <= reach else None for radius in RADII}
        row |= {"acr": next(value for key, value in summary.items() if str(key).startswith("acr"))}
        row |= {"train_seconds": trained["results"]["seconds"], "certify_seconds": frame["seconds"].sum()}
        found.append(row)
    if not found:
        raise SystemExit(f"no logs in {folder}")
    return pd.DataFrame(found)


def published(method: str, sigma: float) -> dict[str, float]:
    """What papers report: ACR, and certified accuracies (of SmoothAdv and its extensions: best at each radius)."""
    row = METHODS[method][1]
    acr = pd.read_csv(DATA / "cifar10_acr.csv")
    known = acr[(acr["method"] == METHODS[method][0]) & (acr["smooth_sigma"] == sigma)]
    values = {"acr": float(known["acr"].iloc[0])} if len(known) else {}
    if method == "gaussian":
        table = pd.read_csv(DATA / "cohen_2019_cifar10.csv")
        whole = (table["smooth_sigma"] == sigma) & (table["train_sigma"] == sigma) & (table["images"] == 10_000)
        table = table[whole & table["radius"].notna()]
    else:
        table = pd.read_csv(DATA / "salman_2019_cifar10.csv")
        table = table[(table["method"] == row) & (table["choice"] == "best")]
    return values | {f"ca_{radius:g}": value for radius, value in zip(table["radius"], table["value"], strict=True)}


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description="The table of cifar10_objectives.sh.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = rows(options.folder)
    numbers = [f"ca_{radius:g}" for radius in RADII] + ["acr"]
    print("| | σ | " + " | ".join(f"{radius:g}" for radius in RADII) + " | ACR |")
    print("|" + "---|" * (len(RADII) + 3))
    merged = []
    for method in METHODS:
        for sigma, runs in table[table["method"] == method].groupby("sigma"):
            ours, theirs = runs[numbers].astype(float).mean(), published(method, float(sigma))
            first = runs.iloc[0]
            sizes = {key: first[key] for key in ("objective", "network", "epochs", "images", "n", "precision")}
            times = {key: round(runs[key].mean(), 1) for key in ("train_seconds", "certify_seconds")}
            row = {"method": method, "sigma": sigma, "seeds": len(runs), **sizes, **times}
            row |= {key: round(ours[key], 4) for key in numbers}
            row |= {f"published_{key}": theirs.get(key) for key in numbers}
            merged.append(row | {"acr_difference": round(ours["acr"] - theirs["acr"], 4) if "acr" in theirs else None})
            print(f"| {METHODS[method][0]} | {sigma:g} | " + " | ".join(shown(ours[key]) for key in numbers) + " |")
            if theirs:
                print("| *published* | | " + " | ".join(shown(theirs.get(key)) for key in numbers) + " |")
    if options.out is not None:
        write_atomically(options.out, pd.DataFrame(merged).to_csv(index=False))


def shown(value: float | None) -> str:
    """Three digits, nothing for a number that there is not."""
    return "" if value is None or pd.isna(value) else f"{value:.3f}".removeprefix("0")


if __name__ == "__main__":
    main()

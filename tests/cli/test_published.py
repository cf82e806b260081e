"""``noiseaug published``, and ``report`` for published logs, logs of predictions and runs in the field."""

from __future__ import annotations

import csv
import io

import pytest

from noiseaug.literature import published
from tests.helpers.running import call_root

TITLE = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"


@pytest.fixture
def log(tmp_path):
    """500 images in the format of Cohen et al.: a fifth abstains, half is right with radii up to 1.9."""
    lines = []
    for place in range(500):
        kind = place % 10
        predicted = -1 if kind < 2 else 3 if kind < 7 else 4
        radius = 0.0 if kind < 2 else (place % 20) / 10
        lines.append(f"{20 * place}\t3\t{predicted}\t{radius}\t{int(predicted == 3)}\t16.6\n")
    path = tmp_path / "sigma_0.50"
    path.write_text(TITLE + "".join(lines))
    return path


def attacked(tmp_path, radius, wrong):
    """A log of predictions under attack on the same images; the first ``wrong`` are misled."""
    path = tmp_path / "N100" / f"PGD_{radius:.3f}" / "predictions"
    path.parent.mkdir(parents=True)
    rows = [
        f"{20 * place}\t3\t{4 if place < wrong else 3}\t4\t{int(place >= wrong)}\t0:00:01\n" for place in range(500)
    ]
    path.write_text("idx\tlabel\tpredict\tbasePredict\tcorrect\ttime\n" + "".join(rows))
    return path


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_single_image_in_the_field(tmp_path):
    # nothing is known of the spread, so the interval of the average radius has no upper end
    (tmp_path / "one").write_text(TITLE + "0\t3\t3\t0.6\t1\t1.0\n")
    for style in ("text", "csv"):
        done = call_root("report", tmp_path / "one", "--published", "cifar10, .5", "--format", style)
        assert done.status == 0, done.err
        assert "inf" in done.out


def test_the_best_runs_first():
    done = call_root("published", "--data", "cifar10", "--smooth-sigma", ".5", "--top", "3", "--format", "csv")
    assert (done.status, done.err) == (0, "")
    rows = rows_of(done.out)
    assert [row["acr"] for row in rows] == ["0.770700", "0.760300", "0.757100"]
    assert {row["images"] for row in rows} == {"10000"}  # without --images, the largest number
    assert rows[1]["log"] == "eth-sri/acr-weakness/data/certify/cifar10/ours/noise_0.5.tsv"
    assert float(rows[0]["acr_lower"]) < 0.7707 < float(rows[0]["acr_upper"])


def test_conditions_and_measures():
    options = ["--data", "cifar10", "--images", 500, "--method", "smoothadv", "--no-pre-training", "--no-self-training"]
    done = call_root("published", *options, "--best", "ca@1.0", "--top", "1", "--radii", "0,1", "--format", "csv")
    (row,) = rows_of(done.out)
    found = published(data="cifar10", images=500, method="smoothadv", pre_training=False, self_training=False)
    assert float(row["ca_1"]) == pytest.approx(found["ca_1"].max(), abs=1e-6)
    assert (row["data"], row["smooth_sigma"]) == ("cifar10", "0.5")
    shown = call_root("published", *options, "--best", "ca@1.0", "--top", "1")
    assert shown.out.split()[:4] == ["CA(1)", "%", "ACR", "CA(0)"]
    assert " α  " in shown.out.splitlines()[0]  # which differs among the runs


def test_a_terminal_is_wide_enough():
    done = call_root("published", "--data", "cifar10", "--smooth-sigma", 1, "--images", 500)
    lines = done.out.splitlines()
    assert len(lines[0].split()) > 5
    assert max(map(len, lines)) <= 120
    assert "10 of 344 released runs" in done.out
    done = call_root("published", "--data", "cifar10", "--smooth-sigma", 1)
    assert "Runs on other numbers of images, with --images: 250 (5), 500 (344)." in done.out


def test_a_picture(tmp_path):
    done = call_root("published", "--data", "cifar10", "--smooth-sigma", ".5", "--plot", tmp_path / "field.png")
    assert done.status == 0, done.err
    assert (tmp_path / "field.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "cifar"], "data is 'cifar'; expected one of cifar10"),
        (["--best", "ca"], "expected acr or ca@r"),
        (["--best", "ca@.3"], "r is 0.3; released runs have 0, 0.25"),
        (["--radii", "0:1:3", "--smooth-sigma", ".3"], "released runs have 0.12, 0.25, 0.5, 1"),
        (["--data", "mnist", "--smooth-sigma", ".12"], "no released run meets all of these conditions"),
        (["--format", "html"], "expected one of text, csv, markdown, latex"),
        (["--top", "0"], "top is 0; expected an integer of at least 1"),
    ],
)
def test_bad_input_is_one_line(options, words):
    done = call_root("published", *options)
    assert (done.status, done.out) == (2, "")
    assert words in done.complaint


def test_a_run_in_the_field(log):
    done = call_root("report", log, "--radii", ".5,.6", "--published", "cifar10, .5")
    assert (done.status, done.err) == (0, "")
    assert "sigma_0.50 among released runs on cifar10, σ = 0.5:" in done.out
    assert "346 runs on 500 images (the same):" in done.out
    assert "47 runs on 10000 images (your 500 images are other ones):" in done.out
    assert done.out.count("certified_accuracy  0.5") == 2
    # every number that a table holds comes in CSV
    done = call_root("report", log, "--radii", ".5", "--published", "cifar10,.5", "--format", "csv")
    ranks = rows_of(done.out.partition("quantity,")[1] + done.out.partition("quantity,")[2].partition("\n\n")[0])
    acr = 0.1 * sum(place % 20 for place in range(500) if 2 <= place % 10 < 7) / 500
    field = published(data="cifar10", smooth_sigma=0.5, images=500)
    assert ranks[0]["rank"] == str(1 + int((field["acr"] > acr).sum()))
    assert float(ranks[0]["value"]) == pytest.approx(acr, abs=1e-6)


def test_a_picture_of_the_field(log, tmp_path):
    done = call_root("report", log, "--published", "cifar10, .5", "--plots", tmp_path / "pictures")
    assert done.status == 0, done.err
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"field_sigma_0.50.png", "certified_accuracy.png"}


@pytest.mark.parametrize("text", ["cifar10", "cifar10,x", "cifar10, .5, 1", ",", "cifar10, nan"])
def test_a_field_that_is_none(log, text):
    done = call_root("report", log, "--published", text)
    assert done.status == 2
    assert len(done.complaint) > 20


def test_predictions_under_attack(log, tmp_path):
    strong, weak = attacked(tmp_path, 0.5, 400), attacked(tmp_path, 0.25, 30)
    done = call_root("report", log, strong, weak, "--format", "csv")
    assert done.status == 0, done.err
    runs, predictions, together = (rows_of(part) for part in done.out.split("\n\n"))
    assert runs[0]["images"] == "500"
    assert [row["attack_radius"] for row in predictions] == ["0.25", "0.5"]
    assert [row["accuracy"] for row in predictions] == ["0.940000", "0.200000"]
    assert [row["n"] for row in predictions] == ["100", "100"]
    # an image is certified at ε where it is right and its radius is at least ε
    right = {place: (place % 20) / 10 for place in range(500) if 2 <= place % 10 < 7}
    for row, wrong in zip(together, (30, 400), strict=True):
        ε = float(row["attack_radius"])
        reached = [place for place, radius in right.items() if radius >= ε]
        assert float(row["certified_accuracy"]) == len(reached) / 500
        assert int(row["violations"]) == sum(place < wrong for place in reached) > 0
        assert row["abstained_within"] == "0"


def test_predictions_alone(tmp_path):
    done = call_root("report", attacked(tmp_path, 0.5, 400))
    assert done.status == 0
    assert "20.0 [16.5, 23.8]" in done.out
    assert "CA" not in done.out


def test_radii_of_attacks_that_no_path_tells(log, tmp_path):
    path = attacked(tmp_path, 0.5, 400).rename(tmp_path / "predictions")
    done = call_root("report", log, path)
    assert done.status == 0
    assert "warning: the radius of the attack in predictions is not known; give --attack-radii" in done.err
    assert "violations" not in done.out
    done = call_root("report", log, path, "--attack-radii", ".25")
    assert (done.status, done.err) == (0, "")
    assert "violations" in done.out
    done = call_root("report", log, path, "--attack-radii", ".25,.5")
    assert done.status == 2
    assert "--attack-radii has 2 numbers; 1 logs of predictions" in done.complaint
    done = call_root("report", log, path, "--compare", ".5")
    assert "--compare needs two certified logs; 1 given" in done.complaint


def test_a_header_alone_is_one_line(tmp_path):
    (tmp_path / "log").write_text(TITLE)
    done = call_root("report", tmp_path / "log")
    assert (done.status, done.complaint) == (2, f"{tmp_path / 'log'}: the run has no inputs")

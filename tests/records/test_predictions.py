"""Logs of predictions are read in the layouts of Cohen et al. and Salman et al."""

from __future__ import annotations

import pytest

from noiseaug.errors import InvalidInputError
from noiseaug.records import path_description, read_any, read_predictions

HEAD = "idx\tlabel\tpredict\tcorrect\ttime\n"
ROWS = "0\t3\t3\t1\t0:00:01.737771\n100\t8\t-1\t0\t0:00:00.158496\n200\t8\t5\t0\t0:00:00.149257\n"
EXPECTED = {
    "index": [0, 100, 200],
    "label": [3, 8, 8],
    "prediction": [3, -1, 5],
    "correct": [True, False, False],
    "seconds": [1.737771, 0.158496, 0.149257],
}


def with_base(text):
    """The column that Salman et al.'s predict.py adds."""
    lines = [line.split("\t") for line in text.splitlines()]
    return "".join(
        "\t".join([*line[:3], "basePredict" if number == 0 else "4", *line[3:]]) + "\n"
        for number, line in enumerate(lines)
    )


@pytest.mark.parametrize("text", [HEAD + ROWS, with_base(HEAD + ROWS), (HEAD + ROWS)[:-1]])
def test_predictions_are_read(tmp_path, text):
    path = tmp_path / "predictions"
    path.write_text(text)
    assert read_predictions(path).to_dict("list") == EXPECTED
    description, frame = read_any(path)
    assert description == {}
    assert frame.to_dict("list") == EXPECTED


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/predict/imagenet/resnet50/noise_0.25/test/N_1000", {"n": 1000}),
        (
            "predict_cifar_cohen/N100/PGD_0.250/num_8/predictions",
            {"n": 100, "attack": "pgd", "attack_radius": 0.25},
        ),
        ("out/DDN_64.0_noise_0.25_mtest_8/predictions", {"attack": "ddn", "attack_radius": 0.25}),
        ("out/PGD_127.0_0.5_base/predictions", {"attack": "pgd", "attack_radius": 127 / 256}),
        ("NOTES/PGD_2steps/x", {}),
        ("predictions", {}),
    ],
)
def test_what_a_path_says(path, said):
    assert path_description(path) == said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD, "predictions: the run has no inputs"),
        (HEAD + "0\t3\t3\t0\t0:00:01\n", "line 2: correct is '0', but label is 3 and predict 3"),
        (HEAD + ROWS + ROWS, "line 5: input 0 stands in an earlier line"),
        (HEAD + "0\t3\n", "line 2: 2 columns; expected idx label predict correct time"),
        ("idx\tlabel\tcorrect\n0\t3\t1\n", "no column predict"),
    ],
)
def test_bad_predictions(tmp_path, text, complaint):
    path = tmp_path / "predictions"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)

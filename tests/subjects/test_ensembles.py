"""Several networks as one classifier: the mean of their logits, and a consensus that asks fewer of them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from noiseaug.certification import certify  # noqa: E402
from noiseaug.records import read_log  # noqa: E402
from noiseaug.subjects import load_subject  # noqa: E402
from noiseaug.vision.engine import TorchBase  # noqa: E402
from noiseaug.vision.models import Ensemble, build_model, save_checkpoint  # noqa: E402
from tests.helpers.errors import complaint  # noqa: E402
from tests.helpers.running import call_root  # noqa: E402

SHAPE = (1, 8, 8)


class Counted(torch.nn.Module):
    """A linear network that counts the inputs it is asked about."""

    def __init__(self, seed, classes=3):
        super().__init__()
        weight = torch.randn(64, classes, generator=torch.Generator().manual_seed(seed))
        self.weight = torch.nn.Parameter(weight)
        self.asked = 0

    def forward(self, x):
        self.asked += len(x)
        return x.flatten(1) @ self.weight


@pytest.fixture
def members():
    return [Counted(seed) for seed in range(4)]


X = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(9)) - 0.5


def test_the_logits_are_the_mean_by_hand(members):
    weights = [member.weight.detach().numpy().astype(float) for member in members]
    by_hand = X.flatten(1).numpy().astype(float) @ (sum(weights) / 4)
    assert Ensemble(members)(X).detach().numpy() == pytest.approx(by_hand, abs=1e-5)
    assert [member.asked for member in members] == [500] * 4


@pytest.mark.parametrize("consensus", [1, 2, 3])
def test_a_consensus_asks_the_others_only_where_the_first_disagree(members, consensus):
    with torch.inference_mode():
        logits = Ensemble(members, consensus)(X)
        asked = [member.asked for member in members]
        each = torch.stack([member(X) for member in members])
    first = each[:consensus].argmax(2)
    same = (first == first[0]).all(0)
    assert asked == [500] * consensus + [500 - int(same.sum())] * (4 - consensus)
    assert torch.equal(logits.argmax(1)[same], first[0][same])
    assert torch.equal(logits.argmax(1)[~same], each.mean(0).argmax(1)[~same])
    # a function of one input, whatever else is in the batch
    with torch.inference_mode():
        assert torch.equal(Ensemble(members, consensus)(X[:7]).argmax(1), logits.argmax(1)[:7])


def test_an_attack_sees_all_members(members):
    x = X[:20].clone().requires_grad_(True)
    found = torch.autograd.grad(Ensemble(members, 1)(x)[:, 0].sum(), x)[0]
    wanted = torch.stack([member.weight[:, 0] for member in members]).mean(0).expand(20, -1).reshape(x.shape)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_consensus_of_one_votes_like_its_first_member(members):
    options = {"smooth_sigma": 0.5, "n": 300, "num_classes": 3}
    inputs = X[:6].numpy()
    alone = certify(TorchBase(members[0], num_classes=3), inputs, **options)
    first = certify(TorchBase(Ensemble(members, 1), num_classes=3), inputs, **options)
    assert first["counts"].tolist() == alone["counts"].tolist()
    whole = certify(TorchBase(Ensemble(members), num_classes=3), inputs, **options)
    assert whole["counts"].tolist() != alone["counts"].tolist()


def test_what_is_no_ensemble_is_refused(members):
    for asked in (0, 4):
        assert "consensus" in complaint(lambda asked=asked: Ensemble(members, asked))
    assert "at least two" in complaint(lambda: Ensemble(members[:1]))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Three checkpoints for the digits, and one for other images."""
    monkeypatch.chdir(tmp_path)
    for seed, arch, shape, data in (
        (0, "mlp", SHAPE, "digits"),
        (1, "mlp", SHAPE, "digits"),
        (2, "linear", SHAPE, "digits"),
    ):
        torch.manual_seed(seed)
        model = build_model(arch, shape, 10)
        save_checkpoint(tmp_path / f"net{seed}.safetensors", model, {"data": data})
    return tmp_path


NAMES = "net0.safetensors,net1.safetensors,net2.safetensors"


def test_the_command_certifies_predicts_and_attacks_an_ensemble(trained):
    certified = ["certify", "--classifier", NAMES, "--smooth-sigma", ".5", "--every", "400", "--n", "200"]
    assert call_root(*certified, "--consensus", "2", "--out", "log.jsonl").status == 0
    description, frame = read_log("log.jsonl")
    subject = load_subject(NAMES, consensus=2)
    assert description["classifier"] == "mlp,mlp,linear"
    assert description["consensus"] == 2
    assert description["weights"] == subject.description["weights"]
    assert description["weights"].count(",") == 2
    places = frame["index"].to_numpy()
    by_hand = certify(
        TorchBase(Ensemble([load_subject(name).base.model for name in NAMES.split(",")], 2), num_classes=10),
        subject.data.inputs[places],
        smooth_sigma=0.5,
        n=200,
        indices=places.tolist(),
    )
    assert by_hand["counts"].tolist() == frame["counts"].tolist()
    assert call_root("predict", *certified[1:], "--out", "predicted.csv").status == 0
    attack = [
        "attack",
        NAMES,
        "--smooth-sigma",
        ".5",
        "--log",
        "log.jsonl",
        "--steps",
        "2",
        "--samples",
        "2",
        "--n",
        "100",
    ]
    assert call_root(*attack, "--consensus", "2").status == 0
    # without the consensus it is another classifier than the one that was certified
    refused = call_root(*attack)
    assert refused.status == 2
    assert "consensus" in refused.err


def test_members_that_do_not_go_together_are_refused(trained):
    assert "give several" in complaint(lambda: load_subject("net0.safetensors", consensus=1))
    assert "logits of networks" in complaint(lambda: load_subject("net0.safetensors,logistic"))
    torch.manual_seed(0)
    save_checkpoint("small.safetensors", build_model("mlp", SHAPE, 12), {"data": "digits"})
    assert "12 classes" in complaint(lambda: load_subject("net0.safetensors,small.safetensors"))
    assert "consensus is 2" in complaint(lambda: load_subject("net0.safetensors,net1.safetensors", consensus=2))

from .adapters import Predictor, as_predictor, checked_labels, class_positions
from .counting import (
    Counter,
    NoisyRows,
    Stream,
    VoteCounter,
    VoteStream,
    bound_uniform,
    make_counter,
    noisy_rows,
    round_votes,
    take_together,
)
from .noise import DiscreteNoise, GaussianNoise, Noise, make_noise

__all__ = [
    "Counter",
    "DiscreteNoise",
    "GaussianNoise",
    "Noise",
    "NoisyRows",
    "Predictor",
    "Stream",
    "VoteCounter",
    "VoteStream",
    "as_predictor",
    "bound_uniform",
    "checked_labels",
    "class_positions",
    "make_counter",
    "make_noise",
    "noisy_rows",
    "round_votes",
    "take_together",
]

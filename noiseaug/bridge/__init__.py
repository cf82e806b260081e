"""What the analysis predicts beside what trained models certify.

Predictions from data alone: the kernel rule (:mod:`~noiseaug.bridge.kernel`) and Gaussian classes
(:mod:`~noiseaug.bridge.quadratic`), both smoothed by votes (:mod:`~noiseaug.bridge.prediction`), and Gaussian
surrogates of pairs of classes in closed form (:mod:`~noiseaug.bridge.surrogate`). Predictions of a run from other
votes: :mod:`~noiseaug.bridge.vote_prediction`. The gap to what was measured: :mod:`~noiseaug.bridge.compare`; the
choice of a training noise: :mod:`~noiseaug.bridge.choice`; all of it for a data set: :mod:`~noiseaug.bridge.study`.
"""

from noiseaug.bridge.choice import plausible_levels, recommended_level
from noiseaug.bridge.compare import gap_table, overlay
from noiseaug.bridge.kernel import KernelFamily
from noiseaug.bridge.prediction import RuleFamily, RuleVotes, rule_table, rule_votes
from noiseaug.bridge.quadratic import QuadraticFamily
from noiseaug.bridge.surrogate import Surrogate, best_levels, fit_surrogate, linear_table, pair_table
from noiseaug.bridge.vote_prediction import predict_run, predict_second_log, split_log, two_logs

__all__ = [
    "KernelFamily",
    "QuadraticFamily",
    "RuleFamily",
    "RuleVotes",
    "Surrogate",
    "best_levels",
    "fit_surrogate",
    "gap_table",
    "linear_table",
    "overlay",
    "pair_table",
    "plausible_levels",
    "predict_run",
    "predict_second_log",
    "recommended_level",
    "rule_table",
    "rule_votes",
    "split_log",
    "two_logs",
]

"""What the analysis predicts beside what trained models certify.

Predictions from data alone: the kernel rule (:mod:`~noiseaug.bridge.kernel`) and Gaussian surrogates of pairs of
classes (:mod:`~noiseaug.bridge.surrogate`). Predictions of a run from other votes: :mod:`~noiseaug.bridge.runs`. The
gap to what was measured: :mod:`~noiseaug.bridge.compare`; the choice of a training noise:
:mod:`~noiseaug.bridge.choice`; all of it for a data set: :mod:`~noiseaug.bridge.study`.
"""

from noiseaug.bridge.choice import plausible_levels, recommended_level
from noiseaug.bridge.compare import gap_table, overlay
from noiseaug.bridge.kernel import KernelFamily, KernelVotes, kernel_table, kernel_votes
from noiseaug.bridge.runs import predict_run, predict_second_log, split_log, two_logs
from noiseaug.bridge.surrogate import Surrogate, best_levels, fit_surrogate, linear_table, pair_table

__all__ = [
    "KernelFamily",
    "KernelVotes",
    "Surrogate",
    "best_levels",
    "fit_surrogate",
    "gap_table",
    "kernel_table",
    "kernel_votes",
    "linear_table",
    "overlay",
    "pair_table",
    "plausible_levels",
    "predict_run",
    "predict_second_log",
    "recommended_level",
    "split_log",
    "two_logs",
]

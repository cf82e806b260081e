from .choice import plausible_levels, recommended_level
from .compare import gap_table, overlay
from .convolutional import ConvolutionalFamily
from .kernel import KernelFamily
from .prediction import RuleFamily, RuleVotes, rule_table, rule_votes
from .quadratic import QuadraticFamily
from .registry import PREDICTORS
from .surrogate import Surrogate, best_levels, fit_surrogate, linear_table, pair_table
from .vote_prediction import predict_run, predict_second_log, split_log, two_logs

__all__ = [
    "PREDICTORS",
    "ConvolutionalFamily",
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

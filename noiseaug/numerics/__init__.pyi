from .lattice_blur import Grid, axis_kernel, gaussian_blur, kernel_matrix, log_escape, log_gaussian_blur
from .lattice_majority import FoldedFields, MajorityFilter
from .level_sets import (
    Crossings,
    LineMeasure,
    RatioFunction,
    SmoothFunction,
    TailedFunction,
    find_crossings,
    tail_window,
)
from .line_measures import FourierStep, MixtureMeasure, MixtureRatio, StepMeasure
from .mixture_regression import Odds, SmoothedRegression, undecided_zones
from .noncentral import (
    log_norm_density,
    log_sphere_density,
    log_sphere_ratio,
    norm_log_tails,
    norm_margin,
    norm_margin_curve,
)
from .normal import (
    bracketed_roots,
    gauss_legendre,
    log1mexp,
    log_normal_interval,
    margin_from_logs,
    normal_interval_mean,
    panel_nodes,
)

__all__ = [
    "Crossings",
    "FoldedFields",
    "FourierStep",
    "Grid",
    "LineMeasure",
    "MajorityFilter",
    "MixtureMeasure",
    "MixtureRatio",
    "Odds",
    "RatioFunction",
    "SmoothFunction",
    "SmoothedRegression",
    "StepMeasure",
    "TailedFunction",
    "axis_kernel",
    "bracketed_roots",
    "find_crossings",
    "gauss_legendre",
    "gaussian_blur",
    "kernel_matrix",
    "log1mexp",
    "log_escape",
    "log_gaussian_blur",
    "log_norm_density",
    "log_normal_interval",
    "log_sphere_density",
    "log_sphere_ratio",
    "margin_from_logs",
    "norm_log_tails",
    "norm_margin",
    "norm_margin_curve",
    "normal_interval_mean",
    "panel_nodes",
    "tail_window",
    "undecided_zones",
]

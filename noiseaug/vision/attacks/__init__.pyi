from .registry import ATTACKS
from .robustness import SeededCounter, attack_frame, attack_summary
from .smoothed_module import SmoothedModule
from .soft import DDN, PGD, draw_noise, frozen, log_odds, mean_log_prob, noisy_logits, soft_log_prob

__all__ = [
    "ATTACKS",
    "DDN",
    "PGD",
    "SeededCounter",
    "SmoothedModule",
    "attack_frame",
    "attack_summary",
    "draw_noise",
    "frozen",
    "log_odds",
    "mean_log_prob",
    "noisy_logits",
    "soft_log_prob",
]

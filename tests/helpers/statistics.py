"""Statistical asserts that say how often they raise a false alarm."""

from __future__ import annotations

import numpy as np
from scipy import stats

FALSE_ALARM = 1e-9


def assert_frequency(successes: int, trials: int, probability: float, false_alarm: float = FALSE_ALARM) -> None:
    """Fails if a count is too unlikely under its probability; on a true one with probability ≤ ``false_alarm``."""
    law = stats.binom(trials, probability)
    low, high = law.cdf(successes), law.sf(successes - 1)
    assert min(low, high) > 0.5 * false_alarm, f"{successes} of {trials} at probability {probability:.6g}"


def assert_mean(draws: np.ndarray, mean: float, span: float, false_alarm: float = FALSE_ALARM) -> None:
    """Fails if a sample mean of draws in an interval of length ``span`` is too far off (Hoeffding)."""
    bound = span * np.sqrt(np.log(2 / false_alarm) / (2 * draws.size))
    assert abs(float(draws.mean()) - mean) <= bound, f"mean {draws.mean():.6g} against {mean:.6g} ± {bound:.2g}"

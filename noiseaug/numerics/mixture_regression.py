"""h ∗ p_α − ½ of two mixtures on the line near the Bayes boundary, with rigorous ranges of its slope.

With the log-odds ℓ, h − ½ = tanh(ℓ/2)/2. Where |ℓ| ≥ ϑ on all of x ± kα, h ∗ p_α is on the side of h because
tanh(ϑ/2) P(|Z| ≤ k) > P(|Z| > k). So crossings can lie only in *zones*: {|ℓ| < ϑ}, which is found with a proof, widened
by kα. Inside a zone two bounds on the slope compete: bounds on g″ and g‴ around the slope at the middle of a cell,
sharp for wide kernels, and the range of h′ within 10α of the cell, sharp for narrow ones (docs/math.md 2.6, 3.2).
"""

from __future__ import annotations

import numpy as np
from scipy import special

from noiseaug.errors import UndecidedError
from noiseaug.numerics.level_sets import find_crossings, tail_window
from noiseaug.numerics.line_measures import MixtureMeasure, MixtureRatio
from noiseaug.numerics.normal import gauss_legendre, panel_nodes
from noiseaug.validation import FloatArray

__all__ = ["Odds", "SmoothedRegression", "undecided_zones"]

_BENDS = np.array([0.48395, 0.7553])  # E|Z² − 1| / 2 = 2φ(1) and E|Z³ − 3Z| / 2
_PEAKS = np.array([0.39895, 0.5507])  # largest |z² − 1| φ(z) and |z³ − 3z| φ(z)
_CLEAR_ODDS = 1e-4  # ϑ
_CLEAR_REACH = 4.1  # k: tanh(ϑ/2) = 5.0e-5 outweighs P(|Z| > k) = 4.1e-5
_FLAT_ODDS = 37.0  # beyond it h is 0 or 1 within rounding
_ORDER = 16
_MOST_CELLS = 5000  # a well-posed search keeps a few hundred alive
_BLOCK_FLOATS = 1 << 17  # nodes held at a time: 1 MiB for each component of the mixtures
_PANEL_ENDS = np.arange(-9.0, 9.5, 3.0)  # of z; P(|Z| > 9) = 2e-19


class Odds:
    """ℓ = ln(P + C) − ln(Q + C) of densities of mixtures; what both share, C, is kept apart so that a tiny ℓ is exact.

    Args:
        first: P.
        second: Q.
        common: C, or None.
        sigma: a standard deviation that every component has besides its variance.
    """

    def __init__(
        self, first: MixtureMeasure, second: MixtureMeasure, common: MixtureMeasure | None, sigma: float
    ) -> None:
        self.sigma = sigma
        self._common = common
        if common is None:
            self._full = MixtureRatio(first, second, sigma)
            return
        # ℓ = ln(1 + P/C) − ln(1 + Q/C)
        self._parts = MixtureRatio(first, common, sigma), MixtureRatio(second, common, sigma)
        self._full = MixtureRatio(_joined(first, common), _joined(second, common), sigma)

    def value(self, x: FloatArray) -> FloatArray:
        if self._common is None:
            return self._full.value(x)
        first, second = (part.value(x) for part in self._parts)
        # the larger of the two sums is the exact one where both are large
        return np.where(
            np.maximum(first, second) > 0,
            self._full.value(x),
            np.log1p(np.exp(np.minimum(first, 1.0))) - np.log1p(np.exp(np.minimum(second, 1.0))),
        )

    def rounding(self, x: FloatArray) -> FloatArray:
        return self._full.rounding(x)

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = self._full.slope_range(left, right)
        if self._common is None:
            return low, high
        # ℓ′ = u′ expit(u) − v′ expit(v) with u = ln P/C and v = ln Q/C
        ranges = []
        for part in self._parts:
            lowest, highest, low_slope, high_slope = _ranges(part, left, right)
            shares = special.expit(lowest), special.expit(highest)
            ranges.append(
                (
                    np.minimum(low_slope * shares[0], low_slope * shares[1]),
                    np.maximum(high_slope * shares[0], high_slope * shares[1]),
                )
            )
        (first_low, first_high), (second_low, second_high) = ranges
        return np.maximum(low, first_low - second_high), np.minimum(high, first_high - second_low)

    def settled(self, x: float, side: int, level: float) -> bool:
        if self._common is not None and level != 0:
            # both P and Q stay below |level|/2 of C: ℓ stays within the level
            limit = float(np.log(0.5 * abs(level)))
            at = np.array([x])
            if all(float(p.value(at)[0]) < limit and p.settled(x, side, limit) for p in self._parts):
                return True
        return self._full.settled(x, side, level)


def _joined(first: MixtureMeasure, second: MixtureMeasure) -> MixtureMeasure:
    parts = [(m.weights, m.means, m.variances) for m in (first, second)]
    return MixtureMeasure(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _ranges(
    function: Odds | MixtureRatio, left: FloatArray, right: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Rigorous lower and upper bounds of a function and of its slope on each cell."""
    low_slope, high_slope = function.slope_range(left, right)
    at_left, at_right, width = function.value(left), function.value(right), right - left
    # between its ends the curve cannot leave the parallelogram that its slopes allow
    lowest = np.maximum(at_left + width * np.minimum(low_slope, 0), at_right - width * np.maximum(high_slope, 0))
    highest = np.minimum(at_left + width * np.maximum(high_slope, 0), at_right - width * np.minimum(low_slope, 0))
    return lowest, highest, low_slope, high_slope


def undecided_zones(odds: Odds, sigma: float, low: float, high: float) -> tuple[FloatArray, np.ndarray]:
    """Where h ∗ p_σ may cross ½: intervals outside of which it is on the side of h.

    Args:
        odds: ℓ.
        sigma: σ > 0.
        low: a point left of which no zero of ℓ lies.
        high: the same on the right.

    Returns:
        Sorted, disjoint zones of shape (k, 2), and whether |ℓ| ≥ ϑ on the far left and right, shape (2,). Where it is
        below out to infinity the zone ends one σ beyond the last point with |ℓ| = ϑ.
    """
    levels = np.array([-_CLEAR_ODDS, _CLEAR_ODDS])
    low, high = tail_window(odds, levels, low - odds.sigma, high + odds.sigma, odds.sigma)
    below, above = find_crossings(odds, levels, np.array([low, 0.5 * (low + high), high]))
    ends = np.sort(np.concatenate([[low], below.points, above.points, [high]]))
    middle = 0.5 * (ends[1:] + ends[:-1])
    near = np.abs(odds.value(middle)) < _CLEAR_ODDS
    zones = np.stack([ends[:-1], ends[1:]], axis=1)[near]
    clear = np.abs(odds.value(np.array([low, high]))) >= _CLEAR_ODDS
    reach = _CLEAR_REACH * sigma
    wide = zones + np.array([-reach, reach])
    if len(zones) and not clear[0]:
        wide[0, 0] = zones[0, 1] - sigma
    if len(zones) and not clear[1]:
        wide[-1, 1] = zones[-1, 0] + sigma
    merged: list[list[float]] = []
    for left, right in wide:
        if merged and left <= merged[-1][1]:
            merged[-1][1] = max(right, merged[-1][1])
        else:
            merged.append([left, right])
    return np.array(merged).reshape(-1, 2), clear


class SmoothedRegression:
    """g = h ∗ p_σ − ½ on a zone."""

    def __init__(self, odds: Odds, sigma: float, zone: FloatArray, inner: FloatArray) -> None:
        self._odds, self._sigma = odds, sigma
        reach = 10 * sigma
        low, high = float(zone[0] - reach), float(zone[1] + reach)
        self._ends, size = self._panels(np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]]))
        # bounds on σ²|g″| and σ³|g‴|
        self._bends = np.minimum(_BENDS, _PEAKS * size / sigma + 1e-18)

    def _panels(self, ends: FloatArray) -> tuple[FloatArray, float]:
        """Ends of panels on each of which h is flat by proof or slow and resolved by the rule, and ∫ |h − ½|."""
        left, right = np.unique(ends)[:-1], np.unique(ends)[1:]
        done: list[FloatArray] = []
        for _ in range(60):
            lowest, highest, low_slope, high_slope = _ranges(self._odds, left, right)
            flat = (lowest > _FLAT_ODDS) | (highest < -_FLAT_ODDS)
            # the poles of h lie at ℓ = ±iπ, so panels may grow with |ℓ|
            least = np.maximum(np.maximum(lowest, -highest), 0.0)
            slow = (right - left) * np.maximum(np.abs(low_slope), np.abs(high_slope)) < 4 + least
            slow[slow] = self._panel_tail(left[slow], right[slow]) < 1e-9
            # the middle must differ from both ends for a further cut
            ready = flat | slow | (0.5 * (left + right) <= left) | (0.5 * (left + right) >= right)
            done.append(np.stack([left, right, np.sign(lowest) * flat], axis=1)[ready])
            if ready.all():
                break
            left, right = left[~ready], right[~ready]
            middle = 0.5 * (left + right)
            left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        panels = np.concatenate(done)
        panels = panels[np.argsort(panels[:, 0])]
        # neighbours that are flat on the same side are one
        cut = (panels[1:, 2] != panels[:-1, 2]) | (panels[1:, 2] == 0)
        merged = np.concatenate([panels[:1, 0], panels[1:, 0][cut], panels[-1:, 1]])
        nodes, weights = panel_nodes(merged, _ORDER)
        return merged, 1.001 * float(np.sum(weights * np.abs(self._centred(nodes))))

    def _panel_tail(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Size of the last Legendre coefficients of h: its square is about the error of the rule."""
        unit, weights = gauss_legendre(_ORDER)
        middle, half = 0.5 * (left + right), 0.5 * (right - left)
        values = self._centred((middle[:, None] + half[:, None] * unit).ravel()).reshape(-1, _ORDER)
        last = [special.eval_legendre(k, unit) * weights * (k + 0.5) for k in (_ORDER - 2, _ORDER - 1)]
        return np.maximum(np.abs(values @ last[0]), np.abs(values @ last[1]))

    def _centred(self, x: FloatArray) -> FloatArray:
        return 0.5 * np.tanh(0.5 * self._odds.value(x))

    def _averages(self, x: FloatArray) -> FloatArray:
        """g, σg′ and σ²g″: averages of h(x + σZ) − ½ times 1, Z and Z² − 1, shape (3, n)."""
        x = np.ravel(x)
        result = np.empty((3, x.size))
        rows = max(1, _BLOCK_FLOATS // (_ORDER * (self._ends.size + _PANEL_ENDS.size)))
        unit, weights = gauss_legendre(_ORDER)
        for start in range(0, x.size, rows):
            part = x[start : start + rows, None]
            cuts = np.clip((self._ends - part) / self._sigma, _PANEL_ENDS[0], _PANEL_ENDS[-1])
            cuts = np.sort(np.concatenate([cuts, np.broadcast_to(_PANEL_ENDS, (len(part), _PANEL_ENDS.size))], axis=1))
            half, middle = 0.5 * np.diff(cuts), 0.5 * (cuts[:, 1:] + cuts[:, :-1])
            row, column = np.nonzero(half > 0)
            half, middle = half[row, column, None], middle[row, column, None]
            z = middle + half * unit
            values = self._centred((part[row] + self._sigma * z).ravel()).reshape(z.shape)
            values *= half * weights * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
            for k, factor in enumerate((np.ones(1), z, z**2 - 1)):
                sums = np.sum(values * factor, axis=1)
                result[k, start : start + len(part)] = np.bincount(row, sums, minlength=len(part))
        return result

    def value(self, x: FloatArray) -> FloatArray:
        return self._averages(x)[0].reshape(np.shape(x))

    def rounding(self, x: FloatArray) -> FloatArray:
        return np.full(np.shape(x), 1e-15)

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        if left.size > _MOST_CELLS:
            raise UndecidedError("h stays at ½ over a stretch where the convolved rule is undecided; use 'augmented'")
        reach = 10 * self._sigma
        lowest, highest, low_slope, high_slope = _ranges(self._odds, left - reach, right + reach)
        # h′ = ℓ′ / 4cosh²(ℓ/2); the noise beyond 10σ adds at most 2φ(10)/σ = 2e-22/σ
        farthest = np.maximum(np.abs(lowest), np.abs(highest))
        nearest = np.maximum(np.maximum(lowest, -highest), 0.0)
        least, most = (special.expit(size) * special.expit(-size) for size in (farthest, nearest))
        low = np.minimum(low_slope * least, low_slope * most) * (1 + 1e-12 * np.sign(-low_slope)) - 2e-22 / self._sigma
        high = (
            np.maximum(high_slope * least, high_slope * most) * (1 + 1e-12 * np.sign(high_slope)) + 2e-22 / self._sigma
        )
        # cells that this leaves open: around the slope at the middle, by the curvature
        open_cells = (low <= 0) & (high >= 0)
        if open_cells.any():
            a, b = left[open_cells], right[open_cells]
            half = 0.5 * (b - a) / self._sigma
            _, slope, bend = self._averages(0.5 * (a + b))
            slack = half * np.minimum(self._bends[0], np.abs(bend) + 1e-13 + 0.5 * half * self._bends[1]) + 1e-13
            low[open_cells] = np.maximum(low[open_cells], (slope - slack) / self._sigma)
            high[open_cells] = np.minimum(high[open_cells], (slope + slack) / self._sigma)
        return low, high

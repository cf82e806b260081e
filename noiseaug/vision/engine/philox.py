"""Gaussian noise by counters: any value of any vote on its own, the same on every device up to rounding.

The words come from Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), a function from a
key of 64 and a counter of 128 bits to four words of 32 bits. Here the key is half of a stream's, and the counter holds
its other half, the number of the vote and that of a group of four coordinates; so no two streams share a word. Four
words become four normal values (Box & Muller 1958). Nothing is kept between calls: what a vote's noise is depends
neither on batches nor on the order of calls, and all of it is plain tensor arithmetic, which torch.compile turns into
one kernel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["noisy_inputs", "normals", "philox"]

_WORD = 0xFFFFFFFF
_ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_INCREMENTS = 0x9E3779B9, 0xBB67AE85  # the golden ratio, √3 − 1


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Philox4x32-10.

    Args:
        counter: four words, int64 tensors with values below 2³² that broadcast.
        key: two words, likewise.

    Returns:
        Four words, likewise.
    """
    a, b, c, d = counter
    first, second = key
    for _ in range(_ROUNDS):
        # products wrap around 2⁶⁴ as signed numbers; their upper words are right after the mask
        left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            ((right >> 32) & _WORD) ^ b ^ first,
            right & _WORD,
            ((left >> 32) & _WORD) ^ d ^ second,
            left & _WORD,
        )
        first, second = (first + _INCREMENTS[0]) & _WORD, (second + _INCREMENTS[1]) & _WORD
    return a, b, c, d


def normals(keys: Tensor, votes: Tensor, dim: int, groups: Tensor) -> Tensor:
    """Standard normal values for votes of streams, float32, shape (m, dim).

    Uniform values are odd multiples of 2⁻³³, rounded to single precision; so nothing is beyond 6.8, where a normal
    value is with probability 1e-11.

    Args:
        keys: four words of each vote's stream, int64, shape (m, 4).
        votes: its number in the stream, int64 below 2³², shape (m,).
        dim: number of coordinates.
        groups: 0 … ⌈dim/4⌉ − 1, int64. Given, not made here: what Inductor knows to be an index, it multiplies in 32
            bits before torch 2.13.
    """
    one, two, three, four = (keys[:, word, None] for word in range(4))
    words = philox((groups[None, :], votes[:, None], three, four), (one, two))
    values = []
    for size, turn in (words[:2], words[2:]):
        radius = ((size.float() + 0.5) * 2.0**-32).log().mul(-2).sqrt()
        angle = turn.float() * (2 * math.pi * 2.0**-32)
        values += [radius * angle.cos(), radius * angle.sin()]
    # the four values of a group lie a quarter apart, so that each is written to a row of its own
    return torch.cat(values, dim=1)[:, :dim]


def noisy_inputs(
    centres: Tensor,
    keys: Tensor,
    slots: Tensor,
    votes: Tensor,
    groups: Tensor,
    sigma: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """What the votes are of: inputs with noise, shape (m, dim).

    Args:
        centres: inputs, float32, shape (s, dim).
        keys: four words of each input's stream, int64, shape (s, 4).
        slots: which of these a vote is of, int64, shape (m,).
        votes: its number in the stream, int64, shape (m,).
        groups: as for :func:`normals`.
        sigma: standard deviation of the noise, float32, without axes: as a number it would be compiled in.
        dtype: precision of the result; the sum is rounded to it once.
    """
    noise = normals(keys[slots], votes, centres.shape[1], groups)
    return (centres[slots] + sigma * noise).to(dtype)

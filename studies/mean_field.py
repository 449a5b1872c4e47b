"""Data-free guesses of the features that feed a BERT's feed-forward layers (post-norm).

Each guess gives, for every block, the mean and variance ``(hidden,)`` of what its first
feed-forward matrix reads. They are tried as estimates of efficiency; none of them is used by a
scan.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from studies.features import Array
from thermoscan.theory.activations import activation
from thermoscan.theory.engine import response

Moments = tuple[Array, Array]


def normalised(mean: Array, variance: Array, gain: Array, bias: Array) -> Moments:
    """Returns the moments behind a layer norm, whose divisor is taken as constant."""
    centred = mean - mean.mean()
    scale = variance.mean() + np.square(centred).mean()
    return gain * centred / np.sqrt(scale) + bias, gain**2 * variance / scale


def gelu_moments(mean: Array, variance: Array) -> Moments:
    """Returns mean and variance of GELU(z) for z normal: ``E[zΦ(z)] = μΦ(a) + s²φ(a)/√(1+s²)``.

    Here ``a = μ/√(1+s²)``, by ``E[Φ(z)] = Φ(a)`` and Stein's lemma.
    """
    root = np.sqrt(1 + variance)
    first = mean * norm.cdf(mean / root) + variance / root * norm.pdf(mean / root)
    second = response(activation("gelu"), mean, variance)
    return np.asarray(first), np.asarray(np.maximum(second - first**2, 0.0))


def from_biases(model: Any) -> list[Moments]:
    """Residual = the norm before it (mean β, variance γ²) plus the attention's output bias."""
    before = model.embeddings.LayerNorm
    found = []
    for block in model.encoder.layer:
        gain, bias = _affine(before)
        offset = _affine(block.attention.output.dense)[1]
        found.append(normalised(bias + offset, gain**2, *_affine(block.attention.output.LayerNorm)))
        before = block.output.LayerNorm
    return found


def recursion(model: Any, start: Moments) -> list[Moments]:
    """Carries mean and variances through the blocks.

    Attention is taken to be uniform: it hands on the mean of its values and no variance. Features
    are taken as uncorrelated.
    """
    mean, variance = start
    found = []
    for block in model.encoder.layer:
        value, value_bias = _affine(block.attention.self.value)
        out, out_bias = _affine(block.attention.output.dense)
        attended = out @ (value @ mean + value_bias) + out_bias
        mean, variance = normalised(
            mean + attended, variance, *_affine(block.attention.output.LayerNorm)
        )
        found.append((mean, variance))
        up, up_bias = _affine(block.intermediate.dense)
        down, down_bias = _affine(block.output.dense)
        response_mean, spread = gelu_moments(up @ mean + up_bias, up**2 @ variance)
        mean, variance = normalised(
            mean + down @ response_mean + down_bias,
            variance + down**2 @ spread,
            *_affine(block.output.LayerNorm),
        )
    return found


def start_at_norm(model: Any) -> Moments:
    """Mean β and variance γ² of the norm behind the embeddings."""
    gain, bias = _affine(model.embeddings.LayerNorm)
    return bias, gain**2


def start_at_words(model: Any) -> Moments:
    """Mean and variance over all rows of the word embedding, at the mean of 64 positions."""
    embeddings = model.embeddings
    with torch.no_grad():
        place = embeddings.position_embeddings.weight[:64].mean(0)
        rows = (
            embeddings.word_embeddings.weight + place + embeddings.token_type_embeddings.weight[0]
        )
        rows = embeddings.LayerNorm(rows).double().numpy()
    return rows.mean(0), rows.var(0)


def _affine(module: Any) -> Moments:
    return _numbers(module.weight), _numbers(module.bias)


def _numbers(parameter: torch.Tensor) -> Array:
    return np.asarray(parameter.detach().double().numpy())

"""Sums a model's layers up: ratios of sums, and where a sample was read, their 95 % intervals.

Theory sections 3, 4 and 7. Takes measured layers; gives the card's `Summary`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from thermoscan.anatomy.model import Role
from thermoscan.card import Summary
from thermoscan.reasons import Reasons
from thermoscan.scanner.layer_sample import LEAST, changes, sparsity_bound
from thermoscan.scanner.measurement import LayerMeasurement, Measurement
from thermoscan.scanner.stages import UNSAMPLED
from thermoscan.theory import jackknife
from thermoscan.theory.engine import Stage, carnot_bound, network
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.jackknife import Interval
from thermoscan.theory.states import (
    NO_ENTROPY,
    Transition,
    network_state,
    network_transition,
)

NO_BASE = "no base checkpoint was given"
NOT_IN_BASE = "the base checkpoint has no layer of this name with an entropy"
NO_LAYER = "no layer was analysed"
NO_SUM = "no layer but embeddings was analysed, whose inputs are one-hot"

Layers = Sequence[LayerMeasurement]

"""What there is to know of a model type: the shape of the tables in `catalogue` and `flows`.

Everything here is data about how `transformers` (version 5.23,
https://github.com/huggingface/transformers) builds a model of one ``model_type``, or diffusers
(https://github.com/huggingface/diffusers) a model of one class. A new type is one entry in the
catalogue. Keys of these tables are the last words of a weight's path, the longest first:
``"lm_head.dense"`` before ``"dense"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from thermoscan.anatomy.rules import Rule

_T = TypeVar("_T")

#: Marks an activation that the configuration names: ``"=hidden_act"``. ``"="`` alone is the hidden
#: activation, which a silent configuration stands for unless a default follows: ``"=act_fn|silu"``.
STATED = "="
#: The hidden activation, but for the last of several layers, which adds to a sum.
UNLESS_LAST = "=unless last"


@dataclass(frozen=True, slots=True)
class Flow:
    """In which order the data meets norms and layers in every block of a list of blocks.

    Attributes:
        steps: Words in order. A norm by its path inside the block; a reader marked by ``>``:
            ``>attention`` (its query, key, value), ``>cross`` (the query of an attention to another
            list of blocks), ``>feed-forward``, or the path of a layer inside the block; ``+`` where
            what was normalised is added to a sum that is not. A norm that a block has not is
            passed over.
        start: Norm whose output enters the first block, by its path from the module around the
            list; a leading ``^`` goes up by one module.
        end: The same for the norms behind the last block, the first that is there. Where there is
            none, the last block's output is what its own steps make it.
        within: A word in the path of the list of blocks; "" for any list.
        readers: Words of the layers outside that read the output of the last block; empty for the
            usual ones: heads and what stands in front of them.
    """

    steps: str
    start: str = ""
    end: tuple[str, ...] = ()
    within: str = ""
    readers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Draw:
    """How a weight is drawn: a family, and its spread as a product of powers.

    Attributes:
        family: ``"normal"``, ``"uniform"`` or ``"truncated normal"``; "" for a weight that is not
            drawn.
        powers: Of the spread: a key of the configuration (alternatives parted by ``|``), or
            ``fan_in``, ``fan_out``, ``fan_in+fan_out`` of the weight -> exponent. The spread is a
            standard deviation, or the bound of a uniform distribution.
        factor: A constant factor of the spread.
        cut: Where a normal distribution is cut: at so many of its deviations, or, where `absolute`,
            at ± this value.
        absolute: See `cut`.
        reason: Why it is not drawn, where `family` is "".
    """

    family: str
    powers: Mapping[str, float] = field(default_factory=dict)
    factor: float = 1.0
    cut: float | str = 0.0
    absolute: bool = False
    reason: str = ""


#: ``PreTrainedModel._init_weights``: linear maps, convolutions and embeddings.
GENERAL = Draw("normal", {"initializer_range|init_std": 1})


@dataclass(frozen=True, slots=True)
class Normed:
    """A norm between a layer and its activation.

    Attributes:
        norm: Its path from the module around the layer.
        per_unit: As in `thermoscan.anatomy.model.FollowingNorm`.
        groups: The configuration's key for the number of groups of units that are normalised each
            by itself; "" where all are together.
    """

    norm: str
    per_unit: bool
    groups: str = ""


@dataclass(frozen=True, slots=True)
class Convention:
    """What a model type takes where its configuration is silent, and where it departs from rules.

    Attributes:
        activation: The hidden activation.
        activation_key: The configuration's key for it; "" for the usual ones.
        tied: Whether input embedding and language-model head are one.
        offset_gain: Whether norms multiply by 1 + the stored gain.
        flows: The order of norms and layers in its blocks.
        defaults: Numbers that a silent configuration stands for.
        draw: How weights are drawn in general.
        draws: Those that are drawn otherwise.
        fires: Layers outside the usual pattern -> what follows: a canonical name, or `STATED`.
        normed: Layers whose output is normalised before the activation -> that norm.
        words: Roles of words that mean something else elsewhere.
        towers: Word in a path -> key of the part of the configuration that holds for it.
        alternating: Whether fused parts alternate head by head or row by row.
        one_key_head: Whether all queries share one key and one value.
        library: Whose code all this is.
        note: What a card should say is assumed; "" for nothing.
    """

    activation: str = ""
    activation_key: str = ""
    tied: bool = False
    offset_gain: bool = False
    flows: tuple[Flow, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    draw: Draw = GENERAL
    draws: Mapping[str, Draw] = field(default_factory=dict)
    fires: Mapping[str, str] = field(default_factory=dict)
    normed: Mapping[str, Normed] = field(default_factory=dict)
    words: Mapping[str, Rule] = field(default_factory=dict)
    towers: Mapping[str, str] = field(default_factory=dict)
    alternating: bool = False
    one_key_head: bool = False
    library: str = "transformers"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A convention that depends on a value of the configuration.

    Attributes:
        key: Of the configuration.
        default: What a silent configuration stands for.
        cases: Value -> convention.
    """

    key: str
    default: bool | str
    cases: Mapping[Any, Convention | Switch]

    def choose(self, config: Mapping[str, Any]) -> Convention | None:
        """Returns the convention for a configuration, None where its value is none of the cases."""
        value = config.get(self.key, self.default)
        case = self.cases.get(value) if isinstance(value, bool | str) else None
        return case.choose(config) if isinstance(case, Switch) else case


def suffixes(words: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what a table of this package may know a path by: its last words, the longest first.

    >>> suffixes(("roberta", "lm_head", "dense"))
    ('roberta.lm_head.dense', 'lm_head.dense', 'dense')
    """
    return tuple(".".join(words[-count:]) for count in (3, 2, 1) if len(words) >= count)


def lookup(table: Mapping[str, _T], keys: tuple[str, ...]) -> _T | None:
    """Returns a table's entry for the first of a path's `suffixes` that it has, None without one.

    >>> lookup({"dense": 1, "lm_head.dense": 2}, suffixes(("roberta", "lm_head", "dense")))
    2
    """
    return next((table[key] for key in keys if key in table), None) if table else None

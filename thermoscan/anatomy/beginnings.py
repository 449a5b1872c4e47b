"""How each weight was drawn: by what the user says, by its library's code, or by torch's default.

Takes what is known of the model; gives an `Initialisation`, or None and the reason. torch's
defaults are taken only where nothing speaks against a plain torch model, and are called an
assumption: `torch.nn.Linear` and convolutions U(±1/√fan_in), recurrent layers U(±1/√hidden),
`torch.nn.Embedding` N(0, 1) (https://docs.pytorch.org/docs/stable/nn.html).
"""

from __future__ import annotations

import math
from dataclasses import replace

from thermoscan.anatomy.conventions import Draw, lookup
from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import Family
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.rules import ADAPTER_PREFIX
from thermoscan.theory.initialisation import (
    Initialisation,
    from_rule,
    normal,
    truncated_normal,
    uniform,
)

#: What is known of a weight's start: the distribution, or None and the reason.
Start = tuple[Initialisation | None, str | None]

_LARGEST_SPREAD = 10.0
_SMALLEST_SPREAD = 1e-30


class Beginnings:
    """The initialisation of every weight of one model.

    Args:
        family: What the configuration says.
        stated: What the user says: a distribution, or the name of a rule of `from_rule`; None for
            nothing.
        plain: Whether the names are those of a plain torch model.
    """

    def __init__(self, family: Family, stated: Initialisation | str | None, plain: bool) -> None:
        self._family = family
        self._stated = stated
        self._plain = plain and family.model_type is None
        self._cache: dict[tuple[object, ...], Start] = {}

    @property
    def assumes_torch(self) -> bool:
        """Whether torch's defaults are taken without anybody saying so."""
        return self._plain and self._stated is None

    def of(self, draft: Draft, fan_in: int, fan_out: int) -> Start:
        """Returns how a weight was drawn, or None and why that is not known.

        Args:
            draft: The draft.
            fan_in: Inputs that sum into one output.
            fan_out: Outputs that one input reaches.
        """
        if isinstance(self._stated, Initialisation):
            return self._stated, None
        if self._stated is not None:
            return self._by_rule(self._stated, "given by the user", draft, fan_in, fan_out)
        if draft.place.kind.word.startswith(ADAPTER_PREFIX):
            return None, "an adapter's factors start by rules of their own"
        if self._family.model_type is not None:
            return self._by_convention(draft)
        if not self._plain:
            return None, "no configuration, and the names are not those of a plain torch model"
        if draft.place.kind.bare and draft.recurrence is None:
            return None, "a parameter outside the modules of torch.nn has no default start"
        return self._by_rule("torch", "torch.nn's default, assumed", draft, fan_in, fan_out)

    def _by_convention(self, draft: Draft) -> Start:
        """The model type's general draw, or its own for this weight."""
        kind = draft.place.kind
        family = self._family.at(kind.words)
        if family.convention is None:
            return None, "how this model type starts is not known here"
        own: Draw | None = lookup(family.convention.draws, kind.suffixes)
        if own is None and kind.bare and not kind.in_experts:
            return None, "a parameter that the model's own code starts"
        key = (kind, draft.tensor.shape)
        if key not in self._cache:
            draw = own or family.convention.draw
            self._cache[key] = _drawn(draw, draft.tensor.shape, family)
        return self._cache[key]

    def _by_rule(self, rule: str, source: str, draft: Draft, fan_in: int, fan_out: int) -> Start:
        if draft.role is Role.EMBEDDING:
            if rule == "torch":
                return normal(1.0, source), None
            fan_in, fan_out = draft.tensor.shape[-1], draft.tensor.shape[-2]
        elif rule == "torch" and draft.recurrence:
            fan_in = draft.recurrence.hidden
        elif rule == "torch" and draft.role is Role.CONVOLUTION:
            # torch counts along the stored axes, also for a transposed convolution
            fan_in = math.prod(draft.tensor.shape[1:])
        key = (rule, fan_in, fan_out)
        if key not in self._cache:
            self._cache[key] = replace(from_rule(rule, fan_in, fan_out), source=source), None
        return self._cache[key]


def _drawn(draw: Draw, shape: tuple[int, ...], family: Family) -> Start:
    """The distribution of a draw for a weight of this shape."""
    if not draw.family:
        return None, draw.reason
    spread, told = draw.factor, [] if draw.factor == 1 else [f"{draw.factor:.4g}"]
    for keys, power in draw.powers.items():
        name, value = _factor(keys, shape, family)
        if value is None:
            return None, f"the configuration's {name} is not a usable number"
        spread *= value**power
        told.append(f"{name}={value:g}" if power == 1 else f"({name}={value:g})^{power:g}")
    if not _SMALLEST_SPREAD < spread <= _LARGEST_SPREAD:
        return None, "the configuration's numbers give no usable deviation"
    library = family.convention.library if family.convention else ""
    source = f"{library}, {' · '.join(told)}"
    if draw.family == "uniform":
        return uniform(spread, source), None
    if draw.family == "normal":
        return normal(spread, source), None
    cut = draw.cut if isinstance(draw.cut, float) else family.number(draw.cut)[1]
    if cut is None or not 0.1 <= (cut := cut / spread if draw.absolute else cut) <= 1e9:
        return None, f"the configuration's {draw.cut} is not a usable number"
    return truncated_normal(spread, cut, source), None


def _factor(keys: str, shape: tuple[int, ...], family: Family) -> tuple[str, float | None]:
    """A factor of a spread: a fan of the weight as torch counts it, or a configured number."""
    receptive = math.prod(shape[2:])
    fans = {"fan_in": shape[1] * receptive, "fan_out": shape[0] * receptive}
    fans["fan_in+fan_out"] = sum(fans.values())
    return (keys, float(fans[keys])) if keys in fans else family.number(keys)

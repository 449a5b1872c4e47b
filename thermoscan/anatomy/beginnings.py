"""How each weight was drawn: by what the user says, by `transformers`' code, or by torch's default.

Takes what is known of the model; gives an `Initialisation`, or None and the reason. torch's
defaults are taken only where nothing speaks against a plain torch model, and are called an
assumption: `torch.nn.Linear` and convolutions U(±1/√fan_in), recurrent layers U(±1/√hidden),
`torch.nn.Embedding` N(0, 1) (https://docs.pytorch.org/docs/stable/nn.html).
"""

from __future__ import annotations

import math
from dataclasses import replace

from thermoscan.anatomy.draft import Draft
from thermoscan.anatomy.families import TRUNCATED_AT, Family
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.names import Place
from thermoscan.anatomy.rules import ADAPTER_PREFIX
from thermoscan.theory.initialisation import Initialisation, from_rule, normal, truncated_normal

#: What is known of a weight's start: the distribution, or None and the reason.
Start = tuple[Initialisation | None, str | None]


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
            return self._by_convention(draft.place)
        if not self._plain:
            return None, "no configuration, and the names are not those of a plain torch model"
        if draft.place.kind.bare and draft.recurrence is None:
            return None, "a parameter outside the modules of torch.nn has no default start"
        return self._by_rule("torch", "torch.nn's default, assumed", draft, fan_in, fan_out)

    def _by_convention(self, place: Place) -> Start:
        """The general rule of `transformers` with the exceptions of the family's convention."""
        family = self._family
        if family.convention is None:
            return None, "how transformers starts this model type is not known here"
        if family.std is None:
            return None, "the configuration's initializer_range is not a usable number"
        truncated = place.kind.word in family.convention.truncated_words
        if place.kind.bare and not truncated and "experts" not in place.kind.words:
            return None, "a parameter that the model's own code starts"
        residual = place.kind.word in family.convention.residual_words
        key = (truncated, residual)
        if key not in self._cache:
            self._cache[key] = self._normal(family.std, truncated, residual)
        return self._cache[key]

    def _normal(self, std: float, truncated: bool, residual: bool) -> Start:
        source = f"transformers, initializer_range={std:g}"
        if truncated:
            return truncated_normal(std, TRUNCATED_AT / std, source), None
        if residual:
            layers = self._family.layers
            if layers is None:
                return None, "the configuration does not state the number of layers"
            return normal(std / math.sqrt(2 * layers), f"{source}, divided by √(2·{layers})"), None
        return normal(std, source), None

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

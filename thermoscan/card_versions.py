"""Brings the JSON of older cards up to date, one version at a time.

Takes and gives what the json module makes of a card's text. A card keeps every value it had; what
its version did not know is null, with that as the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thermoscan.card import CARD_VERSION, EVERY_BYTE, SCHEMA_URL
from thermoscan.card_spectra import NO_SPECTRA
from thermoscan.errors import CardError

NOT_YET = "a card of version 1 does not say"


def up_to_date(value: dict[str, Any], version: int) -> dict[str, Any]:
    """Returns the card `value` of `version` as one of the current version.

    Raises:
        CardError: It is not what its version says it is.
    """
    try:
        for step in _STEPS[version - 1 :]:
            value = step(value)
    except (KeyError, TypeError, ValueError) as error:
        raise CardError("card-malformed", f"no card of version {version}") from error
    return value


def _from_1(value: dict[str, Any]) -> dict[str, Any]:
    """Version 2 knows runs on data, comparisons with a base, and experts beside each other."""
    unknown = {"probe": NOT_YET, "change": NOT_YET}
    layers = [
        {**layer, "probe": None, "change": None, "reasons": {**layer["reasons"], **unknown}}
        for layer in value["layers"]
    ]
    return {
        **value,
        "layers": layers,
        "experts": [],
        "probe": None,
        "comparison": None,
        "reasons": {"probe": NOT_YET, "comparison": NOT_YET},
    }


def _from_2(value: dict[str, Any]) -> dict[str, Any]:
    """Version 3 knows samples; until then every byte was read."""
    return {
        **value,
        "sampling": None,
        "not_looked_for": [],
        "reasons": {**value["reasons"], "sampling": EVERY_BYTE},
    }


def _from_3(value: dict[str, Any]) -> dict[str, Any]:
    """Version 4 knows spectra; until then nobody could ask for them."""
    unknown = {"spectra": NO_SPECTRA}
    layers = [
        {**layer, "spectra": None, "reasons": {**layer["reasons"], **unknown}}
        for layer in value["layers"]
    ]
    return {
        **value,
        "schema": SCHEMA_URL,
        "version": CARD_VERSION,
        "layers": layers,
        "spectra": None,
        "reasons": {**value["reasons"], **unknown},
    }


_STEPS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (_from_1, _from_2, _from_3)
"""Step k makes version k + 2 of version k + 1."""

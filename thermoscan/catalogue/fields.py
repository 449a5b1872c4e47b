"""What may be asked for of a row: a name, the kind of its values, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement


class Kind(Enum):
    """What the values of a field are; the value of a member says it in a sentence."""

    TEXT = "a text"
    COUNT = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = "a time"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a person may name.

    Attributes:
        name: As it is written, such as ``order`` or ``model.architecture``.
        kind: Of its values, each of which may be missing.
        expression: Where they are.
    """

    name: str
    kind: Kind
    expression: ColumnElement[Any]

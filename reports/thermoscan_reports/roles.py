"""Which roles are drawn alike: groups of roles (`thermoscan.anatomy.model`), colours and marks.

Groups differ in shape as well as in colour, so that a picture can be read without colour vision.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A family of roles.

    Attributes:
        key: Identifier used as a class name in SVG and CSS.
        label: What a legend calls it.
        mark: SVG path commands that draw its mark around the current point.
        light: Colour on a light ground, at least 4.5:1 against it.
        dark: Colour on a dark ground, at least 4.5:1 against it.
    """

    key: str
    label: str
    mark: str
    light: str
    dark: str


# A mark without length is drawn by the cap of its stroke: round for attention, square for MLP.
ATTENTION = Group("a", "attention", "h0", "#1f5fae", "#7fb2f5")
MLP = Group("m", "MLP", "h0", "#b4470c", "#f79a5b")
EMBEDDING = Group("e", "embedding", "m0-5 5 5-5 5-5-5z", "#5c6470", "#a9b1bd")
CONVOLUTION = Group("c", "convolution", "m0-5 5 8h-10z", "#0b6e63", "#4fcdbb")
RECURRENT = Group("r", "recurrent", "m0 5 5-8h-10z", "#7c3aa6", "#cf9bf2")
HEAD = Group("h", "head", "m-5 0h10m-5-5v10", "#b0194b", "#ff8fac")
OTHER = Group("o", "other", "m-4-4 8 8m0-8-8 8", "#625f12", "#cbc766")

GROUPS = (EMBEDDING, ATTENTION, MLP, CONVOLUTION, RECURRENT, HEAD, OTHER)

_BY_ROLE = {
    "embedding": EMBEDDING,
    "attention query": ATTENTION,
    "attention key": ATTENTION,
    "attention value": ATTENTION,
    "attention output": ATTENTION,
    "mlp up": MLP,
    "mlp gate": MLP,
    "mlp down": MLP,
    "router": MLP,
    "convolution": CONVOLUTION,
    "recurrent input": RECURRENT,
    "recurrent hidden": RECURRENT,
    "head": HEAD,
}


def group_of(role: str) -> Group:
    """Returns the group of `role`; roles that are not known here are drawn as "other"."""
    return _BY_ROLE.get(role, OTHER)

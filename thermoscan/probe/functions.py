"""Which functions and modules of torch and transformers are elementwise activations.

Takes the name of a torch function, or a module; gives the activation's name: canonical where
`thermoscan.theory.activations` knows it, else as it is spelled, and without parameters such as a
slope. Functions that mix units (softmax, GLU) are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermoscan.theory.activations import canonical

if TYPE_CHECKING:
    import torch

_FUNCTIONS = frozenset(
    (
        *("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
        *("tanh", "sigmoid", "erf", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu", "prelu"),
        *("rrelu", "logsigmoid", "tanhshrink", "softshrink", "hardshrink", "threshold", "expit"),
    )
)
_MIXING = frozenset({"Softmax", "Softmin", "Softmax2d", "LogSoftmax", "GLU", "MultiheadAttention"})
_HOMES = ("torch.nn.modules.activation", "transformers.activations")
_OTHER_NAMES = {
    "NewGELU": "gelu_new",
    "FastGELU": "gelu_fast",
    "AccurateGELU": "gelu_accurate",
    "PytorchGELUTanh": "gelu_pytorch_tanh",
}


def function_name(name: str) -> str | None:
    """Returns the activation that the torch function `name` is; None where it is none.

    >>> function_name("relu_"), function_name("softmax")
    ('relu', None)
    """
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return _known(plain) if plain in _FUNCTIONS else None


def module_name(module: torch.nn.Module) -> str | None:
    """Returns the activation that a module is by its class; None where it is none.

    A class of somebody's own counts where it has no parameters and no parts, and is called like an
    activation.
    """
    name = type(module).__name__
    spelled = name.removesuffix("Activation")
    spelled = _OTHER_NAMES.get(spelled, spelled)
    if canonical(spelled) == "identity" or name in _MIXING:
        return None
    if type(module).__module__ in _HOMES:
        return _known(spelled)
    plain = not any(True for _ in module.parameters()) and not any(True for _ in module.children())
    return _known(spelled) if plain and canonical(spelled) else None


def _known(spelled: str) -> str:
    return (canonical(spelled) or spelled).partition("(")[0]

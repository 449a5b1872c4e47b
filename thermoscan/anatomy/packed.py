"""Recognises weights stored as something else than their own numbers, and names the scheme.

Takes every tensor; gives the names that belong to a packed weight (codes, scales, zero points)
with the reason why they are not analysed. A scheme is recognised by its companions, never by a
dtype alone: plain 8-bit floats are numbers.

Layouts: GPTQ and AWQ as AutoGPTQ, AutoAWQ and vLLM write them; bitsandbytes 0.43 and later;
compressed-tensors; the fine-grained fp8 and MXFP4 of `transformers`; torch.nn.utils.weight_norm
and its parametrization.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType

_FLOATS8 = frozenset({DType.F8_E4M3, DType.F8_E5M2})
_CODES = frozenset({DType.I8, DType.U8, DType.I32, *_FLOATS8})

_QUANTISED = "quantised ({scheme}): codes and scales are not weights yet"
_WEIGHT_NORM = "weight normalisation: direction and length are stored apart"
INTEGER_WEIGHT_REASON = "quantised (unknown scheme): integers without recognised scales"

#: How the names end that give a scheme away.
_MARKS = (
    *("qweight", "absmax", "SCB", "weight_packed", "_scale", "_scale_inv", "_blocks"),
    *("weight_g", "original0"),
)
_COMPANIONS = (
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".nested_offset",
    ".quant_state.bitsandbytes__nf4",
    ".quant_state.bitsandbytes__fp4",
    "_scale_2",
    "_zero_point",
    "_shape",
    "_g_idx",
    "_global_scale",
)
_OF_MODULE = ("g_idx", "weight_format", "input_scale", "activation_scale", "input_global_scale")


def packed(tensors: Sequence[Tensor], quantised_by: str | None) -> dict[str, str]:
    """Returns the tensors that belong to packed weights: name -> reason.

    Args:
        tensors: Every stored tensor.
        quantised_by: The configuration's ``quant_method``, which tells GPTQ from AWQ where names
            do not.
    """
    dtypes = {tensor.name: tensor.dtype for tensor in tensors}
    reasons: dict[str, str] = {}
    for name in dtypes:
        if not name.endswith(_MARKS):
            continue
        for weight, marks, reason in _schemes(name, dtypes, quantised_by):
            module = weight.rpartition(".")[0]
            companions = [weight + companion for companion in _COMPANIONS]
            companions += [f"{module}.{word}" for word in _OF_MODULE]
            for member in (weight, *marks, *companions):
                if member in dtypes:
                    reasons[member] = reason
    return reasons


def is_integer_weight(tensor: Tensor) -> bool:
    """Says whether a tensor is named as a weight matrix but holds integers."""
    if tensor.dtype.is_float or len(tensor.shape) < 2:
        return False
    return tensor.name.endswith(("weight", "weight_packed"))


def _schemes(
    name: str, dtypes: Mapping[str, DType], quantised_by: str | None
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yields (packed weight, its marks, reason) for every scheme that `name` is the mark of."""
    base, _, leaf = name.rpartition(".")
    if leaf == "qweight":
        zeros, scales = f"{base}.qzeros", f"{base}.scales"
        if zeros in dtypes and scales in dtypes:
            gptq = quantised_by == "gptq" or f"{base}.g_idx" in dtypes
            yield name, (zeros, scales), _QUANTISED.format(scheme="GPTQ" if gptq else "AWQ")
        elif f"{base}.scale" in dtypes:
            yield name, (f"{base}.scale", f"{base}.zero_point"), _of_dtype(dtypes[name])
    elif leaf == "absmax" and base in dtypes:
        yield base, (name,), _QUANTISED.format(scheme="bitsandbytes 4-bit")
    elif leaf == "SCB":
        yield f"{base}.weight", (name,), _QUANTISED.format(scheme="bitsandbytes 8-bit")
    elif leaf == "weight_packed":
        stem = name.removesuffix("_packed")
        marks = (f"{stem}_scale", *(stem + companion for companion in _COMPANIONS))
        yield name, marks, _QUANTISED.format(scheme="compressed-tensors")
    elif leaf.endswith(("_scale", "_scale_inv")):
        weight = name[: name.rindex("_scale")]
        if dtypes.get(weight) in _CODES:
            yield weight, (name,), _of_dtype(dtypes[weight])
    elif leaf.endswith("_blocks") and name.removesuffix("_blocks") + "_scales" in dtypes:
        scales = name.removesuffix("_blocks") + "_scales"
        yield name, (scales,), _QUANTISED.format(scheme="MXFP4")
    elif leaf == "weight_g" and f"{base}.weight_v" in dtypes:
        yield name, (f"{base}.weight_v",), _WEIGHT_NORM
    elif name.endswith("parametrizations.weight.original0"):
        yield name, (f"{base}.original1",), _WEIGHT_NORM


def _of_dtype(codes: DType) -> str:
    kind = "8-bit floats" if codes in _FLOATS8 else "integers"
    return _QUANTISED.format(scheme=f"{kind} with scales")

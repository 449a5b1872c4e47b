"""Judges the anatomy of a tiny model by what transformers does: modules, data flow and draws.

Nothing here knows a name of a layer. Which tensor flows where is told by numbers: every vector of
the model is made random first, so that values of float32 that occur in two places are the same
tensor, whole, cut or in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from support.anatomy import tensors_of
from support.tiny_models import TINY, build, inputs_of
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from thermoscan.anatomy import Anatomy, Layer, Role, dissect
from thermoscan.theory.activations import activation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Values = npt.NDArray[np.float32]

_ACTIVATIONS = (
    *(functional.gelu, functional.relu, functional.silu, functional.softplus),
    *(torch.tanh, torch.Tensor.tanh, functional.tanh, torch.relu, torch.Tensor.relu),
    *(torch.sigmoid, torch.Tensor.sigmoid),
)
_MATMUL = (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)
_MULTIPLY = (torch.mul, torch.Tensor.mul, torch.Tensor.__mul__)
_SOFTMAX = (functional.softmax, torch.softmax, torch.Tensor.softmax)
_ADDED = (torch.baddbmm, torch.Tensor.baddbmm)
_LINEAR = (functional.linear, functional.conv1d, functional.conv2d, torch.conv1d, torch.conv2d)


@dataclass
class Stream:
    """A tensor that was seen, and its values in order of size."""

    tensor: torch.Tensor

    @cached_property
    def values(self) -> Values:
        return np.unique(self.tensor.numpy())

    @cached_property
    def sample(self) -> Values:
        """A few of the values, and the least and the greatest of them."""
        return self.values[[0, *range(1, self.values.size, max(1, self.values.size // 8)), -1]]

    def holds(self, part: Stream) -> bool:
        """Whether every value of `part` is one of these, of two or more."""
        if not 1 < part.values.size <= self.values.size:
            return False
        for wanted in (part.sample, part.values):
            at = np.searchsorted(self.values, wanted)
            if not (self.values[np.minimum(at, self.values.size - 1)] == wanted).all():
                return False
        return True


def kept(tensor: torch.Tensor) -> Stream:
    """A tensor as it is now: some models go on to change it in place."""
    return Stream(tensor.detach().clone())


@dataclass
class Use:
    """One product of a weight with an input."""

    inputs: Stream
    outputs: Stream
    channels: int

    def part(self, layer: Layer) -> Stream:
        """The outputs of one layer of a fused weight."""
        return Stream(
            self.outputs.tensor.narrow(self.channels, layer.start, layer.stop - layer.start)
        )


@dataclass
class Trace(TorchFunctionMode):
    """What happens in one forward pass."""

    names: dict[int, str]
    shapes: dict[str, tuple[int, ...]]
    biases: dict[str, torch.Tensor]
    uses: dict[tuple[str, int | None], list[Use]] = field(default_factory=dict)
    fired: list[tuple[Callable[[torch.Tensor], torch.Tensor], Stream, Stream]] = field(
        default_factory=list
    )
    normed: dict[str, list[tuple[Stream, Stream]]] = field(default_factory=dict)
    arguments: list[tuple[Role, Stream]] = field(default_factory=list)
    attended: list[Stream] = field(default_factory=list)
    gated: list[Stream] = field(default_factory=list)
    _responses: dict[int, torch.Tensor] = field(default_factory=dict)
    _weights: dict[int, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        TorchFunctionMode.__init__(self)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in _ACTIVATIONS:
            self.fire(lambda z: func(z, *args[1:], **kwargs), args[0], out)
        elif func in _LINEAR:
            self._used(*_first_two(args, kwargs), out, func is not functional.linear)
        elif func is torch.addmm:
            self._used(args[1], args[2], out, False)
        elif func in _MATMUL:
            self._multiplied(args[0], args[1], out)
        elif func in _ADDED:
            batches = [kwargs.get(f"batch{i + 1}", args[i + 1 : i + 2]) for i in (0, 1)]
            self._attend(*(each[0] if isinstance(each, tuple) else each for each in batches), out)
        elif func in _SOFTMAX:
            self._weights[address(out)] = out
        elif func in _MULTIPLY and any(address(each) in self._responses for each in args):
            self.gated.append(kept(out))
            self._responses[address(out)] = out
        elif func is functional.scaled_dot_product_attention:
            self._attend(args[0], args[1].transpose(-2, -1), None)
            self.arguments.append((Role.VALUE, kept(args[2])))
            self.attended.append(kept(out))
        return out

    def fire(self, function: Any, taken: torch.Tensor, out: torch.Tensor) -> None:
        """Notes an activation; its response is kept alive, so that its address is its own."""
        self.fired.append((function, kept(taken), kept(out)))
        self._responses[address(out)] = out

    def _multiplied(self, first: Any, second: Any, out: torch.Tensor) -> None:
        """Notes a bare product: of a weight, whose bias is then added later, or in attention."""
        if (name := self.names.get(address(second))) is not None:
            self._used(first, second, out + self.biases.get(name, 0), False)
        elif (name := self.names.get(address(first))) is not None:
            flipped = out.transpose(-2, -1)
            self._used(second.transpose(-2, -1), first, flipped + self.biases.get(name, 0), False)
        elif out.ndim == 4:
            self._attend(first, second, out)

    def _attend(self, first: torch.Tensor, second: torch.Tensor, out: torch.Tensor | None) -> None:
        """Notes queries and keys at position 0, where rotations do nothing; or values."""
        if out is not None and address(first) in self._weights:
            self.arguments.append((Role.VALUE, kept(second)))
            self.attended.append(kept(out))
            return
        self.arguments.append((Role.QUERY, kept(first[..., 0, :])))
        self.arguments.append((Role.KEY, kept(second[..., 0])))

    def _used(self, x: Any, weight: Any, out: torch.Tensor, convolved: bool) -> None:
        name = self.names.get(address(weight))
        if name is None:
            return
        shape = self.shapes[name]
        stacked = len(shape) == 3 and weight.ndim == 2
        group = weight.storage_offset() // (shape[1] * shape[2]) if stacked else None
        channels = (
            out.ndim - (3 if convolved and weight.ndim == 4 else 2) if convolved else out.ndim - 1
        )
        self.uses.setdefault((name, group), []).append(Use(kept(x), kept(out), channels))

    def hook(self, path: str, module: torch.nn.Module) -> Callable[..., None]:
        def seen(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if not inputs or not isinstance(output, torch.Tensor):
                return
            if is_norm(module):
                self.normed.setdefault(path, []).append((kept(inputs[0]), kept(output)))
            elif is_activation(module):
                self.fire(module, inputs[0], output)

        return seen


def _first_two(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Input and weight of a linear map or a convolution, however they are passed."""
    given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
    return given["input"], given["weight"]


def address(tensor: Any) -> int:
    """Where a tensor's numbers are; 0 for what is no tensor."""
    return tensor.untyped_storage().data_ptr() if isinstance(tensor, torch.Tensor) else 0


def is_norm(module: torch.nn.Module) -> bool:
    return "Norm" in type(module).__name__ and bool(list(module.parameters(recurse=False)))


def is_activation(module: torch.nn.Module) -> bool:
    """A module without weights that changes single numbers, and not by nothing."""
    if list(module.parameters()) or list(module.children()) or list(module.buffers()):
        return False
    z = torch.linspace(-3, 3, 5)
    try:
        out = module(z)
    except Exception:
        return False
    return isinstance(out, torch.Tensor) and out.shape == z.shape and not torch.equal(out, z)


@dataclass
class Verdict:
    """How an anatomy fares: what was checked, what is not known and why, what is wrong."""

    name: str
    head: str
    layers: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    def expect(self, what: str, holds: bool, told: str) -> None:
        self.checked[what] += 1
        if not holds:
            self.mistakes.append(f"{what}: {told}")


@dataclass
class Specimen:
    """A tiny model with its anatomy and everything that was seen of it."""

    name: str
    head: str
    model: PreTrainedModel
    anatomy: Anatomy
    drawn: dict[str, torch.Tensor]
    trace: Trace


#: Deviations other than the default ones, so that a default cannot pass for what was stated.
_STATED_SPREADS = {"initializer_range": 0.05, "init_std": 0.05, "initializer_factor": 1.25}


@cache
def specimen(name: str, head: str) -> Specimen:
    """Builds a tiny model as transformers draws it, dissects it and runs it once."""
    torch.manual_seed(0)
    model = build(name, head, "cpu", **spreads(name)).eval()
    drawn = {key: value.clone() for key, value in model.state_dict().items()}
    anatomy = dissect(tensors_of(model.state_dict()), model.config.to_dict())
    shake(model)
    parameters = list(model.named_parameters())
    trace = Trace(
        {p.untyped_storage().data_ptr(): n for n, p in parameters},
        {n: tuple(p.shape) for n, p in parameters},
        {
            f"{path}.weight": module.bias
            for path, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module.bias is not None
        },
    )
    for path, module in model.named_modules():
        module.register_forward_hook(trace.hook(path, module))
    with torch.no_grad(), trace:
        model(**inputs_of(name, head))
    return Specimen(name, head, model, anatomy, drawn, trace)


def spreads(name: str) -> dict[str, Any]:
    """Overrides that state unusual spreads, for the keys that the configuration has."""
    from support.tiny_models import configuration

    config = configuration(name)
    return {key: value for key, value in _STATED_SPREADS.items() if hasattr(config, key)}


def shake(model: PreTrainedModel) -> None:
    """Makes every vector random, so that no two tensors are equal by chance."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))


@cache
def judge(name: str, head: str) -> Verdict:
    """Compares everything that the anatomy of a tiny model says with what was seen."""
    return verdict_on(specimen(name, head))


def verdict_on(of: Specimen) -> Verdict:
    """Compares everything that an anatomy says with what was seen."""
    verdict = Verdict(of.name, of.head)
    for layer in of.anatomy.layers:
        verdict.layers[layer.role.value] += 1
        _judge_draw(layer, of, verdict)
        uses = of.trace.uses.get((layer.tensor, layer.group), [])
        if not uses and layer.role is not Role.EMBEDDING:
            verdict.unknown["data flow", "not seen in the forward pass"] += 1
        elif layer.role is not Role.EMBEDDING:
            _judge_size(layer, uses, of, verdict)
            _judge_norm(layer, uses, of, verdict)
            _judge_activation(layer, uses, of, verdict)
            _judge_role(layer, uses, of, verdict)
    _judge_tables_and_norms(of, verdict)
    return verdict


def _judge_size(layer: Layer, uses: list[Use], of: Specimen, verdict: Verdict) -> None:
    stored = of.trace.shapes[layer.tensor]
    use = uses[0]
    if use.channels == use.outputs.tensor.ndim - 1:
        inputs = use.inputs.tensor.shape[-1]
    else:
        inputs = int(np.prod(stored[1:]))
    outputs = sum(
        other.shape[0]
        for other in of.anatomy.layers
        if (other.tensor, other.group) == (layer.tensor, layer.group)
    )
    found = (layer.shape[1], layer.fan_in, outputs)
    expected = (inputs, inputs, use.outputs.tensor.shape[use.channels])
    verdict.expect("size", found == expected, f"{layer.name} is {found}, not {expected}")


def _judge_norm(layer: Layer, uses: list[Use], of: Specimen, verdict: Verdict) -> None:
    stored = of.trace.shapes[layer.tensor]
    if (
        layer.role is Role.CONVOLUTION
        and uses[0].inputs.tensor.shape[1 - uses[0].inputs.tensor.ndim] != stored[1]
        and stored[1] == 1
    ):
        return  # one input for each output: a gain for each input has no place
    votes: Counter[str | None] = Counter()
    for use in uses:
        sources = [
            path
            for path, seen in of.trace.normed.items()
            if any(out.holds(use.inputs) for _, out in seen)
        ]
        votes.update(sources or [None])
    most = {
        path and f"{path}.weight" for path, count in votes.items() if count == max(votes.values())
    }
    found = layer.norm.gain if layer.norm else None
    verdict.expect("norm", found in most, f"{layer.name} is fed by {found}, not {most}")


def _judge_activation(layer: Layer, uses: list[Use], of: Specimen, verdict: Verdict) -> None:
    parts = [use.part(layer) for use in uses]
    behind = [
        (path, out)
        for path, seen in of.trace.normed.items()
        for taken, out in seen
        if any(part.holds(taken) for part in parts)
    ]
    direct = [f for f, taken, _ in of.trace.fired if any(part.holds(taken) for part in parts)]
    through = {
        path: f for path, out in behind for f, taken, _ in of.trace.fired if out.holds(taken)
    }
    followers = direct + list(through.values())
    following = {f"{path}.weight" for path in through}
    if layer.activation is None:
        verdict.unknown["activation", layer.activation_reason or ""] += 1
        if not layer.activation_reason:
            verdict.mistakes.append(f"activation: {layer.name} is unknown without a reason")
        return
    verdict.expect(
        "activation",
        layer.engine == bool(followers) and _agree(layer.activation, followers),
        f"{layer.name} has {layer.activation}, engine {layer.engine}; {followers} follow",
    )
    found = {layer.following.gain} if layer.following and layer.engine else set()
    if found or following:
        verdict.expect("norm behind", found == following, f"{layer.name}: {found}, not {following}")


def _agree(name: str, followers: list[Callable[[torch.Tensor], torch.Tensor]]) -> bool:
    z = torch.linspace(-3, 3, 25, dtype=torch.float64)
    ours = activation(name)(z.numpy())
    return all(np.allclose(ours, follower(z).numpy(), atol=1e-9) for follower in followers)


def _judge_role(layer: Layer, uses: list[Use], of: Specimen, verdict: Verdict) -> None:
    """Roles in attention by the arguments of its function; the way back by what it takes."""
    trace = of.trace
    if layer.role is Role.DOWN:
        sources = (*trace.gated, *(out for _, _, out in trace.fired))
        holds = all(any(source.holds(use.inputs) for source in sources) for use in uses)
        verdict.expect("role", holds, f"{layer.name} does not read an activation")
        return
    if any(out.holds(use.inputs) for use in uses for out in trace.attended):
        found = layer.role is Role.ATTENTION_OUTPUT
        verdict.expect("role", found, f"{layer.name} reads an attention's output")
        return
    if layer.role is Role.QUERY_KEY_VALUE:
        verdict.unknown["parts", "query, key and value alternate in it"] += 1
        return
    streams = [use.part(layer) for use in uses]
    streams += [
        out
        for seen in trace.normed.values()
        for taken, out in seen
        if any(stream.holds(taken) for stream in streams)
    ]
    roles = {
        role
        for role, argument in trace.arguments
        if any(stream.holds(argument) for stream in streams)
    }
    if roles:
        verdict.expect("role", roles == {layer.role}, f"{layer.name} is {layer.role}, not {roles}")


def _judge_draw(layer: Layer, of: Specimen, verdict: Verdict) -> None:
    start = layer.initialisation
    values = matrix(layer, of.drawn).double()
    if start is None:
        verdict.unknown["initialisation", layer.initialisation_reason or ""] += 1
        if not layer.initialisation_reason:
            verdict.mistakes.append(f"initialisation: {layer.name} is unknown without a reason")
        return
    if layer.role is Role.EMBEDDING:
        values = values[..., values.abs().amax(-1) > 0, :]
    variance = float(values.square().mean())
    kurtosis = float(values.pow(4).mean()) / variance**2 if variance else 0.0
    tolerance = max(0.02, 5 * (2 / values.numel()) ** 0.5)
    spread = 8 * (24 / values.numel()) ** 0.5
    close = abs(variance - start.variance) <= tolerance * start.variance
    alike = abs(kurtosis - _kurtosis(start)) <= 0.1 + spread
    verdict.expect(
        "initialisation",
        close and alike,
        f"{layer.name} has variance {variance:.3g} and kurtosis {kurtosis:.2f}, not {start}",
    )


def _kurtosis(start: Any) -> float:
    """Of a distribution; of a truncated one between a uniform's and a normal's, by its entropy."""
    if start.family == "uniform":
        return 1.8
    if start.family == "normal":
        return 3.0
    from scipy.optimize import brentq
    from scipy.stats import truncnorm

    deficit = 0.5 * np.log(2 * np.pi * np.e * start.variance) - start.entropy
    if deficit < 1e-9:
        return 3.0

    def at(cut: float) -> Any:
        return truncnorm(-cut, cut)

    def missing(cut: float) -> float:
        return float(0.5 * np.log(2 * np.pi * np.e * at(cut).var()) - at(cut).entropy() - deficit)

    return float(at(brentq(missing, 0.2, 8.0)).stats("k")) + 3


def matrix(layer: Layer, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """The numbers of one layer."""
    values = state[layer.tensor]
    if layer.group is not None:
        values = values[layer.group]
    axis = layer.out_axis - (layer.group is not None)
    return values.narrow(axis, layer.start, layer.stop - layer.start)


def _judge_tables_and_norms(of: Specimen, verdict: Verdict) -> None:
    modules = dict(of.model.named_modules())
    tables = {f"{p}.weight" for p, m in modules.items() if isinstance(m, torch.nn.Embedding)}
    found = {layer.tensor for layer in of.anatomy.layers if layer.role is Role.EMBEDDING}
    missed = tables - found - set(of.anatomy.tied)
    verdict.expect("role", not missed, f"tables {missed} are not found")
    wrong = {name for name in found - tables if modules.get(name.removesuffix(".weight"))}
    verdict.expect("role", not wrong, f"{wrong} are no tables")
    gains = {
        f"{p}.{name}" for p, m in modules.items() if is_norm(m) for name, _ in m.named_parameters()
    }
    norms = {r.tensor for r in of.anatomy.recorded if r.role is Role.NORM}
    verdict.expect("role", norms == gains, f"norms: {norms ^ gains}")
    expected, told = ties(of.model), {frozenset(pair) for pair in of.anatomy.tied.items()}
    verdict.expect("tie", told == expected, f"{told}, not {expected}")


def ties(model: PreTrainedModel) -> set[frozenset[str]]:
    """The matrices of a model that are one parameter under several names: pairs of names."""
    seen: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.ndim > 1:
            seen.setdefault(id(parameter), []).append(name)
    tables = {f"{p}.weight" for p, m in model.named_modules() if isinstance(m, torch.nn.Embedding)}
    pairs = set()
    for names in seen.values():
        first = next((n for n in names if n in tables), names[0])
        pairs |= {frozenset((first, name)) for name in names if name != first}
    return pairs


def facts(anatomy: Anatomy, state: dict[str, torch.Tensor]) -> Counter[tuple[Any, ...]]:
    """What an anatomy says of each layer, under the layer's numbers in place of its names."""

    def content(name: str | None) -> int:
        return hash(np.sort(state[name].numpy(), axis=None).tobytes()) if name else 0

    return Counter(
        (
            hash(np.sort(matrix(layer, state).numpy(), axis=None).tobytes()),
            layer.role.value,
            *(layer.shape, layer.fan_in, layer.activation, layer.engine),
            *(
                (content(layer.norm.gain), content(layer.norm.bias), layer.norm.gain_is_offset)
                if layer.norm
                else ()
            ),
            *((content(layer.following.gain), layer.following.per_unit) if layer.following else ()),
            layer.initialisation and (layer.initialisation.family, layer.initialisation.variance),
        )
        for layer in anatomy.layers
    )


def everything() -> Iterator[tuple[str, str]]:
    """Every tiny model and head."""
    for name, tiny in TINY.items():
        for head in tiny.heads:
            yield name, head

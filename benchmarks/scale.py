"""How large a run is: `FULL` for the documentation, `SMALL` to see in seconds that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and repetitions of a run.

    Attributes:
        tensor_file: Bytes of weights in each file that the pass alone reads.
        tensor: Bytes of each tensor in those files.
        layers: Blocks of the Llama-shaped model.
        hidden: Its hidden size, a multiple of 32.
        intermediate: Its MLP size.
        vocabulary: Its vocabulary.
        gpt2_layers: Blocks of the GPT-2; 12 are 124 M parameters.
        rounds: Interleaved rounds of a comparison.
        latencies_ms: What a hub adds to each request, one after the other.
        starts: Interleaved rounds where a process takes less than a second.
        small_models: Small models that a batch scans.
        model_bytes: Bytes of the smallest and of the largest of them.
        model_width: Rows and columns of their matrices.
        large_layers: Blocks of the largest Llama-shaped model; 224 are 20 GB.
        tasks: Of next to no work, that an executor runs one after the other.
        models: Models of a catalogue.
        model_layers: Layers of each of them.
    """

    tensor_file: int
    tensor: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    gpt2_layers: int
    rounds: int
    latencies_ms: tuple[int, ...]
    starts: int
    models: int
    small_models: int
    model_bytes: tuple[int, int]
    model_width: int
    large_layers: int
    tasks: int
    model_layers: int


FULL = Scale(
    tensor_file=1 << 30,
    tensor=32 << 20,
    layers=22,
    hidden=2048,
    intermediate=5632,
    vocabulary=32000,
    gpt2_layers=12,
    rounds=5,
    latencies_ms=(0, 20, 50),
    starts=11,
    small_models=200,
    model_bytes=(2_000_000, 40_000_000),
    model_width=512,
    large_layers=224,
    tasks=2000,
    models=100_000,
    model_layers=100,
)
SMALL = Scale(
    tensor_file=1 << 20,
    tensor=1 << 18,
    layers=2,
    hidden=64,
    intermediate=96,
    vocabulary=128,
    gpt2_layers=1,
    rounds=2,
    latencies_ms=(0,),
    starts=1,
    small_models=10,
    model_bytes=(20_000, 60_000),
    model_width=32,
    large_layers=3,
    tasks=20,
    models=200,
    model_layers=10,
)

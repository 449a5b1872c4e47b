"""The models of the study of training complexity: data sets, recipes and their training.

Everything comes with scikit-learn or is generated, and every recipe carries its seed: the same
recipe gives the same weights on the same machine.
"""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made.

    Attributes:
        data: A name that `dataset` knows.
        kind: ``"mlp"`` (three linear layers) or ``"cnn"`` (two convolutions, two linear layers).
        examples: Size N of the training set.
        noise: Share of the training labels that are replaced by uniformly random ones.
        width: Hidden units; the channels of a network of convolutions are a sixteenth of it.
        activation: ``"relu"``, ``"tanh"`` or ``"gelu"``.
        rate: Learning rate of AdamW.
        decay: Its weight decay.
        steps: Training ends after so many.
        fitted: It ends before when the loss on the training set is below this, nats.
        copies: How often every example is in the training set.
        seed: Of the choice of examples, the noise, the initialisation and the batches.
    """

    data: str = "digits"
    kind: str = "mlp"
    examples: int = 1000
    noise: float = 0.0
    width: int = 256
    activation: str = "relu"
    rate: float = 1e-3
    decay: float = 0.0
    steps: int = 1500
    fitted: float = 0.01
    copies: int = 1
    seed: int = 0

    @property
    def variant(self) -> str:
        """What is unlike the default, besides examples, noise and seed."""
        standard = Recipe(data=self.data, kind=self.kind)
        named = {
            "width": self.width,
            "activation": self.activation,
            "rate": self.rate,
            "decay": self.decay,
        }
        unlike = [f"{k} {v}" for k, v in named.items() if v != getattr(standard, k)]
        return ", ".join(unlike) or "standard"


@dataclass(frozen=True, slots=True)
class Data:
    """A classification task: standardised inputs (examples, features) and integer labels."""

    train_inputs: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_inputs: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]
    classes: int


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model.

    Attributes:
        recipe: How it was made.
        path: Its checkpoint, safetensors.
        accuracy: On the test set, whose labels carry no noise.
        memory: Accuracy on the training set as given.
        gap: `memory` less the accuracy expected on new examples with labels of the same noise.
        loss: On the training set, nats.
        distance: ``Σ (w - w₀)²`` over the weight matrices: needs the initial weights.
    """

    recipe: Recipe
    path: Path
    accuracy: float
    memory: float
    gap: float
    loss: float
    distance: float


def development(small: bool) -> list[Recipe]:
    """Returns the MLPs on digits, on which the candidates were compared first."""
    noises = (0.0, 1.0) if small else (0.0, 0.1, 0.3, 0.6, 1.0)
    sizes = (50, 100) if small else (100, 300, 1000)
    base = Recipe(width=32, steps=60) if small else Recipe()
    variants = [base, replace(base, activation="tanh")]
    if not small:
        variants += [replace(base, activation="gelu"), replace(base, seed=1)]
        variants += [replace(base, width=width) for width in (64, 512)]
        variants += [replace(base, rate=rate) for rate in (3e-4, 3e-3)]
        variants += [replace(base, decay=decay) for decay in (0.1, 1.0)]
    return _grid(variants, sizes, noises)


def held_out(small: bool) -> list[Recipe]:
    """Returns other architectures and other data, which only the verdict is taken from."""
    if small:
        base = Recipe(width=32, steps=60, seed=20)
        variants = [replace(base, kind="cnn"), replace(base, data="clusters")]
        return _grid(variants, (50, 100), (0.0, 1.0))
    recipes = []
    for data, kind, sizes in (
        ("digits", "cnn", (100, 300, 1000)),
        ("cancer", "mlp", (50, 130, 350)),
        ("clusters", "mlp", (100, 300, 1000)),
    ):
        base = Recipe(data=data, kind=kind, seed=20)
        tanh, decay = replace(base, activation="tanh"), replace(base, decay=0.3)
        variants = [base, replace(tanh, seed=21), replace(decay, seed=22)]
        recipes += _grid(variants, sizes, (0.0, 0.2, 0.5, 1.0))
    return recipes


def noise_series(small: bool) -> list[Recipe]:
    """Returns MLPs that differ in label noise alone, each trained for a hundred epochs."""
    noises = (0.0, 0.4, 1.0) if small else (0.0, 0.1, 0.2, 0.4, 0.6, 1.0)
    base = Recipe(examples=1000, steps=60 if small else 1600, fitted=0.0, seed=30)
    return [replace(base, noise=noise) for noise in noises]


def copied(small: bool) -> list[Recipe]:
    """Returns pairs: training sets of a hundred examples, and the same with ten copies of each."""
    base = Recipe(examples=100, width=32 if small else 256, steps=60 if small else 1500)
    return [
        replace(base, noise=noise, seed=seed, copies=copies)
        for noise in (0.0, 0.3, 1.0)
        for seed in range(40, 41 if small else 43)
        for copies in (1, 10)
    ]


def train_all(recipes: list[Recipe], folder: Path, workers: int) -> list[Model]:
    """Trains a model per recipe into `folder`, in so many processes; in order."""
    paths = [folder / f"{number}.safetensors" for number in range(len(recipes))]
    folder.mkdir()
    if workers == 1:
        return list(map(train, recipes, paths))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(train, recipes, paths))


def train(recipe: Recipe, path: Path) -> Model:
    """Trains a model and saves its state dict as safetensors to `path`."""
    import torch  # noqa: PLC0415 - heavy
    from safetensors.torch import save_file  # noqa: PLC0415

    torch.set_num_threads(1)
    data = dataset(recipe)
    torch.manual_seed(recipe.seed)
    model = build(recipe, data.train_inputs.shape[1], data.classes)
    matrices = [each for each in model.parameters() if each.ndim > 1]
    start = [each.detach().clone() for each in matrices]
    inputs, labels = torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_labels)
    loss = _fit(model, inputs, labels, recipe)
    right = _accuracy(model, data.test_inputs, data.test_labels)
    expected = (1 - recipe.noise) * right + recipe.noise / data.classes
    distance = math.fsum(
        float((now.detach() - then).square().sum())
        for now, then in zip(matrices, start, strict=True)
    )
    save_file(model.state_dict(), path)
    memory = _accuracy(model, data.train_inputs, data.train_labels)
    return Model(recipe, path, right, memory, memory - expected, loss, distance)


def build(recipe: Recipe, features: int, classes: int) -> torch.nn.Sequential:
    """Returns the network of a recipe, as torch initialises it."""
    from torch import nn  # noqa: PLC0415 - heavy

    act = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[recipe.activation]
    width = recipe.width
    if recipe.kind == "mlp":
        return nn.Sequential(
            nn.Linear(features, width), act(), nn.Linear(width, width), act(),
            nn.Linear(width, classes),
        )  # fmt: skip
    side, channels = math.isqrt(features), width // 16
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, channels, 3, padding=1), act(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), act(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(2 * channels * (side // 2) ** 2, 64), act(), nn.Linear(64, classes),
    )  # fmt: skip


def dataset(recipe: Recipe) -> Data:
    """Returns the data of a recipe: its own choice of examples and noise, and a fixed test set."""
    inputs, labels = _source(recipe.data)
    classes = int(labels.max()) + 1
    order = np.random.default_rng(99).permutation(len(labels))
    held = len(labels) * 2 // 5
    test, pool = order[:held], order[held:]
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(pool)[: recipe.examples]
    noisy = labels[chosen].copy()
    wrong = rng.permutation(len(noisy))[: round(recipe.noise * len(noisy))]
    noisy[wrong] = rng.integers(0, classes, len(wrong))
    chosen, noisy = np.tile(chosen, recipe.copies), np.tile(noisy, recipe.copies)
    return Data(inputs[chosen], noisy, inputs[test], labels[test], classes)


@functools.cache
def _source(name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    from sklearn import datasets  # noqa: PLC0415 - heavy

    if name == "digits":
        inputs, labels = datasets.load_digits(return_X_y=True)
        return np.asarray(inputs / 16, np.float32), np.asarray(labels, np.int64)
    if name == "cancer":
        inputs, labels = datasets.load_breast_cancer(return_X_y=True)
    elif name == "clusters":
        inputs, labels = datasets.make_classification(
            n_samples=2500, n_features=24, n_informative=8, n_redundant=4, n_classes=5,
            n_clusters_per_class=1, class_sep=1.5, random_state=4,
        )  # fmt: skip
    else:
        raise ValueError(f"no such data: {name}")
    standard = (inputs - inputs.mean(0)) / inputs.std(0)
    return np.asarray(standard, np.float32), np.asarray(labels, np.int64)


def _fit(
    model: torch.nn.Sequential, inputs: torch.Tensor, labels: torch.Tensor, recipe: Recipe
) -> float:
    """Trains until the training set is fitted or the steps are spent; returns the loss on it."""
    import torch  # noqa: PLC0415 - heavy

    generator = torch.Generator().manual_seed(recipe.seed)
    cross_entropy = torch.nn.functional.cross_entropy
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    loss, step = math.inf, 0
    while step < recipe.steps and loss > recipe.fitted:
        order = torch.randperm(len(labels), generator=generator)
        for batch in itertools.islice(torch.split(order, _BATCH), recipe.steps - step):
            optimizer.zero_grad()
            error = cross_entropy(model(inputs[batch]), labels[batch])
            torch.autograd.backward(error)
            optimizer.step()
            step += 1
        with torch.no_grad():
            loss = float(cross_entropy(model(inputs), labels))
    return loss


def _accuracy(
    model: torch.nn.Sequential, inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> float:
    import torch  # noqa: PLC0415 - heavy

    with torch.no_grad():
        answers = model(torch.from_numpy(inputs)).argmax(1).numpy()
    return float((answers == labels).mean())


def _grid(
    variants: list[Recipe], sizes: tuple[int, ...], noises: tuple[float, ...]
) -> list[Recipe]:
    return [
        replace(variant, examples=size, noise=noise)
        for variant in variants
        for size in sizes
        for noise in noises
    ]

"""The numbers behind the studies, against scipy, pandas and closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from studies.indicators import Layer, measure
from studies.path_runs import UNCHANGED, Shift, shifted
from studies.ranking import correlation, within
from studies.zoo import Recipe, dataset, train


def test_the_coefficient_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 40).astype(float), rng.normal(size=40)
    found = correlation(list(x), list(y))
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_the_interval_is_the_one_that_fishers_transformation_gives() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    found = correlation(list(x), list(y))
    assert found is not None
    # Bonett and Wright's error of Spearman's coefficient after Fisher's transformation.
    error = 1.96 * math.sqrt((1 + found.value**2 / 2) / 397)
    middle = math.atanh(found.value)
    assert found.low == pytest.approx(math.tanh(middle - error), abs=0.02)
    assert found.high == pytest.approx(math.tanh(middle + error), abs=0.02)


def test_a_wider_level_gives_a_wider_interval() -> None:
    rng = np.random.default_rng(2)
    x, y = list(rng.normal(size=50)), list(rng.normal(size=50))
    narrow, wide = correlation(x, y, 0.9), correlation(x, y, 0.999)
    assert narrow is not None and wide is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_pairs_without_a_value_are_left_out_and_too_few_give_nothing() -> None:
    x = [1.0, 2.0, 3.0, 4.0, math.nan]
    found = correlation(x, [1.0, 2.0, 3.0, 4.0, -9.0])
    assert found is not None and found.value == pytest.approx(1)
    assert correlation(x[:3], [1.0, 2.0, 3.0]) is None
    assert correlation([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]) is None


def test_ranks_within_groups_are_those_of_pandas() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.integers(0, 5, 60), "group": rng.integers(0, 4, 60)})
    expected = frame.groupby("group")["x"].rank(pct=True)
    assert within(list(frame["x"]), list(frame["group"])) == pytest.approx(list(expected))


def test_free_energy_from_a_gaussian_start_is_the_divergence_of_the_entries() -> None:
    start, weights, deviations = 0.04, (0.7, 0.3), (0.2, 0.9)

    def density(x: float) -> float:
        pairs = zip(weights, deviations, strict=True)
        return sum(a * stats.norm.pdf(x, scale=s) for a, s in pairs)

    def divergence(x: float) -> float:
        gaussian = stats.norm.logpdf(x, scale=math.sqrt(start))
        return density(x) * (math.log(density(x)) - float(gaussian))

    def surprise(x: float) -> float:
        return -density(x) * math.log(density(x))

    expected, _ = integrate.quad(divergence, -9, 9, limit=200)
    entropy, _ = integrate.quad(surprise, -9, 9, limit=200)
    temperature = sum(a * s**2 for a, s in zip(weights, deviations, strict=True))
    layer = Layer(
        parameters=1,
        fan_in=1,
        start=start,
        energy=(temperature - start) / 2,
        entropy=entropy - float(stats.norm.entropy(scale=math.sqrt(start))),
        excess=(0.0, 0.0),
    )
    assert layer.free_energy == pytest.approx(expected, rel=1e-6)


def test_energy_absorbed_is_that_of_a_planted_direction(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(4)
    noise = rng.uniform(-1 / 20, 1 / 20, (300, 400))
    left, right = rng.normal(size=300), rng.normal(size=400)
    spike = 9.0 * np.outer(left / np.linalg.norm(left), right / np.linalg.norm(right))
    weights = {"0.weight": np.float32(noise + spike), "2.weight": np.float32(noise[:50, :300])}
    save_file(weights, tmp_path / "planted.safetensors")
    found = measure(tmp_path / "planted.safetensors", "relu", examples=10, classes=2, distance=0.0)
    planted = found.layers[0]
    assert 2 * planted.parameters * planted.energy == pytest.approx(81, rel=0.05)
    assert planted.excess[0] / planted.excess[1] == pytest.approx(1, abs=0.05)
    squares = sum(float((each.astype(float) ** 2).sum()) for each in weights.values())
    assert found.frobenius == pytest.approx(squares, rel=1e-6)


def test_the_same_recipe_gives_the_same_file(tmp_path: Path) -> None:
    recipe = Recipe(kind="cnn", examples=40, noise=0.5, width=32, steps=5)
    models = [train(recipe, tmp_path / name) for name in ("a", "b")]
    assert models[0].path.read_bytes() == models[1].path.read_bytes()
    assert models[0].distance == models[1].distance > 0


def test_noise_copies_and_the_test_set_are_what_the_recipe_says() -> None:
    clean, noisy = (dataset(Recipe(examples=500, noise=noise)) for noise in (0.0, 0.4))
    assert (clean.train_inputs == noisy.train_inputs).all()
    changed = float((clean.train_labels != noisy.train_labels).mean())
    assert changed == pytest.approx(0.4 * 0.9, abs=0.04)  # a tenth of the draws hits the old label
    assert (clean.test_labels == noisy.test_labels).all()
    copied = dataset(Recipe(examples=50, copies=3))
    assert len(np.unique(copied.train_inputs, axis=0)) == 50
    assert len(copied.train_inputs) == 150


def test_shifts_turn_pictures_and_pass_names_around() -> None:
    plain, turned = shifted(UNCHANGED), shifted(Shift("rotation", 90))
    images = plain.inputs.numpy().reshape(-1, 8, 8)
    assert turned.inputs.numpy().reshape(-1, 8, 8) == pytest.approx(
        np.rot90(images, axes=(1, 2)), abs=1e-5
    )
    renamed = shifted(Shift("labels", 3)).labels.numpy()
    names = np.array([1, 2, 0, 3, 4, 5, 6, 7, 8, 9])
    assert (renamed == names[plain.labels.numpy()]).all()
    assert (shifted(Shift("labels", 0)).labels == plain.labels).all()

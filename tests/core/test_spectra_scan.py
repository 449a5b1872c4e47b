"""Spectra of whole checkpoints, and the figures of known eigenvalues."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.wheels import path_of

from thermoscan.errors import OptionError
from thermoscan.options import SampleSize, ScanOptions, SpectraOptions
from thermoscan.scanner import scan
from thermoscan.spectra import eigenvalues_of
from thermoscan.spectra.describing import spectrum_of
from thermoscan.spectra.gram import Eigenvalues


def test_figures_of_known_eigenvalues() -> None:
    values = np.array([[0.0, 1.0, 1.0, 2.0]])
    spectrum = spectrum_of(Eigenvalues(values, 7, 4, None, 0, 1.0))
    assert (spectrum.norm, spectrum.spectral_norm, spectrum.stable_rank) == (4.0, 2.0, 2.0)
    assert spectrum.log_norm == math.log10(4) and spectrum.log_spectral_norm == math.log10(2)
    assert (spectrum.matrix_rank, spectrum.rank_loss, spectrum.weak_rank_loss) == (3, 1, 1)
    assert (spectrum.sv_max, spectrum.sv_min) == (math.sqrt(2), 0.0)
    # shares 1/4, 1/4, 1/2: entropy 3/2 ln 2
    assert spectrum.spectral_entropy == pytest.approx(1.5 * math.log(2), rel=1e-15)
    assert spectrum.effective_rank == pytest.approx(2**1.5, rel=1e-15)
    assert spectrum.entropy == pytest.approx(1.5 * math.log(2) / math.log(3), rel=1e-15)
    # over their mean of 1: 2, then 2 · 1, then 2 · 1 · 1, then 0
    assert (spectrum.detx_num, spectrum.detx_val) == (4, 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_tail_of_a_determinant_of_one_is_the_shortest_with_a_product_below_one(
    seed: int,
) -> None:
    values = np.sort(np.random.default_rng(seed).exponential(size=60))
    spectrum = spectrum_of(Eigenvalues(values[None], 80, 60, None, 0, 1.0))
    over_mean = values / values.mean()
    expected = next(k for k in range(1, 61) if np.prod(over_mean[-k:]) < 1)
    assert spectrum.detx_num == expected
    assert spectrum.detx_val == values[-expected]
    equal = spectrum_of(Eigenvalues(np.full((1, 5), 3.0), 8, 5, None, 0, 1.0))
    assert equal.detx_num is None and equal.reasons["detx_num"] == "its eigenvalues are equal"


def test_a_matrix_of_zeros_has_reasons_instead_of_logarithms() -> None:
    spectrum = spectrum_of(Eigenvalues(np.zeros((1, 4)), 7, 4, None, 0, 0.0))
    assert (spectrum.norm, spectrum.matrix_rank, spectrum.rank_loss) == (0.0, 0, 4)
    for name in ("log_norm", "log_spectral_norm", "stable_rank", "spectral_entropy", "entropy"):
        assert getattr(spectrum, name) is None
        assert spectrum.reasons[name] == "all of its eigenvalues are zero"


def test_eigenvalues_farther_apart_than_floats_reach_have_an_entropy() -> None:
    values = np.array([[1e-270, 1.0, 1e270, 1e270]])
    spectrum = spectrum_of(Eigenvalues(values, 7, 4, None, 0, 1e135))
    assert spectrum.spectral_entropy == pytest.approx(math.log(2), rel=1e-12)


def test_a_real_checkpoint_has_the_spectra_of_its_matrices() -> None:
    folder = path_of("minilm")
    card = scan(str(folder), ScanOptions(spectra=SpectraOptions()))
    weights = load_file(folder / "model.safetensors")
    assert card.spectra is not None
    assert card.spectra.spectra == len(card.layers)
    assert card.spectra.fits == len(card.layers) - 1  # of two token types there is none
    for record in card.layers[-8:]:
        assert record.spectra is not None and record.spectra.matrix is not None
        spectrum = record.spectra.matrix
        expected = np.linalg.svd(weights[record.name].astype(float), compute_uv=False)[::-1] ** 2
        assert spectrum.spectral_norm == pytest.approx(expected[-1], rel=1e-12)
        assert spectrum.norm == pytest.approx(expected.sum(), rel=1e-12)
        assert record.temperature is not None
        assert spectrum.norm == pytest.approx(record.temperature * record.parameters, rel=1e-6)
        assert record.spectra.slices is None
        assert record.spectra.reasons["slices"] == "it is no convolution"


def test_the_side_of_a_checkpoint_is_drawn_by_its_seed_and_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    file = tmp_path / "model.safetensors"
    save_file({"fc.weight": rng.standard_normal((40, 30), dtype=np.float32)}, file)

    def norm(**options: int) -> float:
        card = scan(str(file), ScanOptions(spectra=SpectraOptions(max_side=10, **options)))
        assert card.spectra is not None and card.spectra.sampled == 1
        assert any("10 rows or columns drawn at random" in note for note in card.notes)
        spectra = card.layers[0].spectra
        assert spectra is not None and spectra.matrix is not None
        assert (spectra.matrix.columns, spectra.matrix.sampled) == (10, 30)
        return spectra.matrix.norm

    assert norm(seed=3) == norm(seed=3) != norm(seed=4)


@pytest.mark.parametrize(
    ("shape", "most", "reason"),
    [
        ((1, 1, 400, 400), 8192, "its kernel has more places than slices are taken of"),
        ((130, 128, 32, 33), 1024, "its slices together take more memory than a matrix"),
    ],
)
def test_slices_that_are_too_many_to_hold_have_a_reason(
    tmp_path: Path, shape: tuple[int, ...], most: int, reason: str
) -> None:
    kernel = np.ones(shape, np.float16)
    save_file({"conv.weight": kernel}, tmp_path / "model.safetensors")
    options = ScanOptions(spectra=SpectraOptions(max_side=most))
    (layer,) = scan(str(tmp_path), options).layers
    assert layer.spectra is not None and layer.spectra.matrix is not None
    assert layer.spectra.slices is None and layer.spectra.counted is layer.spectra.matrix
    assert layer.spectra.reasons["slices"].startswith(reason)
    assert layer.spectra.matrix.norm == pytest.approx(kernel.size, rel=1e-9)
    with pytest.raises(OptionError) as refused:
        eigenvalues_of(str(tmp_path), "conv.weight", options, slices=True)
    assert refused.value.reason.startswith(reason)


@pytest.mark.parametrize("most", [-3, 0, 1])
def test_a_side_of_which_no_spectrum_is_taken_is_refused(most: int) -> None:
    with pytest.raises(OptionError) as refused:
        SpectraOptions(max_side=most)
    assert refused.value.code == "max-side-too-small"


def test_spectra_of_a_sample_are_refused() -> None:
    with pytest.raises(OptionError, match="every entry") as caught:
        ScanOptions(spectra=SpectraOptions(), sample=SampleSize(share=0.5))
    assert caught.value.code == "sample-with-spectra"


def _spiked(tmp_path: Path) -> Path:
    """A Gaussian layer at T = 0.01, and another with one direction of a signal in it."""
    rng = np.random.default_rng(2)
    noise = 0.1 * rng.standard_normal((200, 80))
    spike = np.outer(rng.standard_normal(200), rng.standard_normal(80)) / math.sqrt(200 * 80)
    file = tmp_path / "model.safetensors"
    weights = {"noise.weight": noise, "spiked.weight": noise + 6.0 * spike}
    save_file({name: each.astype(np.float32) for name, each in weights.items()}, file)
    return file


def test_a_planted_direction_stands_out_of_the_bulk_and_of_the_null(tmp_path: Path) -> None:
    card = scan(str(_spiked(tmp_path)), ScanOptions(spectra=SpectraOptions(shuffle=True)))
    noise, spiked = (each.spectra.matrix for each in card.layers if each.spectra)
    assert noise is not None and spiked is not None
    for spectrum, outliers in ((noise, 0), (spiked, 1)):
        assert spectrum.bulk is not None and spectrum.null is not None
        assert spectrum.bulk.outliers == outliers
        assert spectrum.bulk.temperature == pytest.approx(0.01, rel=0.03)
        assert spectrum.shuffled is not None and spectrum.shuffled.outliers == 0
        assert (spectrum.null.excess > 5) == bool(outliers)
        # Martin and Mahoney's log alpha norm, written out
        assert spectrum.tail is not None
        powers = np.linalg.svd(_weights(tmp_path, outliers), compute_uv=False) ** (
            2 * spectrum.tail.alpha
        )
        assert spectrum.tail.log_alpha_norm == pytest.approx(np.log10(powers.sum()), rel=1e-9)
    assert card.spectra is not None and card.spectra.outliers == 1
    assert card.spectra.fits == 2


def _weights(folder: Path, spiked: int) -> np.ndarray:
    name = "spiked.weight" if spiked else "noise.weight"
    return load_file(folder / "model.safetensors")[name].astype(float)


def test_the_eigenvalues_of_one_layer_are_there_to_draw(tmp_path: Path) -> None:
    file = _spiked(tmp_path)
    found = eigenvalues_of(str(file), "spiked.weight")
    expected = np.linalg.svd(_weights(tmp_path, 1), compute_uv=False)[::-1] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    with pytest.raises(OptionError, match="no layer of this name, 'xyz': names are those"):
        eigenvalues_of(str(file), "xyz")
    with pytest.raises(OptionError, match=r"did you mean spiked\.weight"):
        eigenvalues_of(str(file), "spiked")
    with pytest.raises(OptionError, match="no convolution"):
        eigenvalues_of(str(file), "spiked.weight", slices=True)


def test_the_eigenvalues_of_slices_are_those_of_the_card() -> None:
    source = str(path_of("crepe-tiny"))
    card = scan(source, ScanOptions(spectra=SpectraOptions()))
    record = next(each for each in card.layers if each.name == "conv2.weight")
    assert record.spectra is not None and record.spectra.slices is not None
    found = eigenvalues_of(source, "conv2.weight", slices=True)
    assert found.size == record.spectra.slices.num_evals
    assert found[-1] == pytest.approx(record.spectra.slices.spectral_norm, rel=1e-8)

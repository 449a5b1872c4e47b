"""A card as data frames: rows, names of columns, and what is missing."""

from __future__ import annotations

from typing import Any

from support import cards

from thermoscan.card_frames import layers_frame, spectra_frame

# The columns of WeightWatcher's details that are the same quantity here.
THEIRS = {
    "alpha", "alpha_weighted", "log_alpha_norm", "D", "sigma", "xmin", "xmax", "num_pl_spikes",
    "norm", "log_norm", "spectral_norm", "log_spectral_norm", "stable_rank", "matrix_rank",
    "rank_loss", "weak_rank_loss", "entropy", "sv_max", "sv_min", "num_evals", "N", "M", "Q",
}  # fmt: skip


def test_the_frame_has_a_row_per_layer_and_flat_columns() -> None:
    card = cards.realistic()
    frame = layers_frame(card)
    assert len(frame) == 39
    assert list(frame["name"]) == [layer.name for layer in card.layers]
    pooler = frame.iloc[-1]
    assert pooler["engine_activation"] == "tanh"
    assert pooler["engine_efficiency"] == 0.412
    assert pooler["initialisation_variance"] == 0.0004
    assert frame["engine_efficiency"].isna().sum() == 39 - 7
    assert not {"engine", "initialisation", "reasons", "engine_reasons"} & set(frame.columns)
    assert card.to_frame().equals(frame)


def test_the_frame_of_a_sample_has_the_ends_of_intervals_and_no_mapping() -> None:
    card = cards.sampled()
    frame = layers_frame(card)
    assert frame["order_low"].isna().tolist() == [True] + [False] * 38
    assert frame.iloc[1]["order_high"] == card.layers[1].intervals["order"][1]
    assert frame["engine_efficiency_low"].isna().sum() == 39 - 7
    assert not [name for name in frame.columns if name.endswith("intervals")]


def test_a_layer_shows_a_few_figures_of_the_spectrum_that_counts() -> None:
    card = cards.complete()
    frame = layers_frame(card).filter(like="spectra_")
    assert frame.iloc[1].isna().all()
    assert frame["spectra_alpha"].isna().tolist() == [place in (1, 3) for place in range(40)]
    convolution = card.layers[39].spectra
    assert convolution is not None and convolution.slices is not None
    assert convolution.slices.bulk is not None and convolution.slices.tail is not None
    assert frame.iloc[39].tolist() == [
        convolution.slices.tail.alpha,
        convolution.slices.stable_rank,
        convolution.slices.effective_rank,
        convolution.slices.bulk.ordered_fraction,
        convolution.slices.bulk.outliers,
    ]
    assert layers_frame(cards.realistic())["spectra_outliers"].isna().all()


def test_a_spectrum_has_a_row_and_a_convolution_two_of_which_one_counts() -> None:
    card = cards.complete()
    frame = card.spectra_frame()
    names = [layer.name for layer in card.layers]
    assert frame["name"].tolist() == [names[0], *names[2:], names[39]]
    assert frame["kind"].tolist() == ["matrix"] * 39 + ["slices"]
    assert frame[frame["counted"]]["name"].tolist() == [names[0], *names[2:]]
    assert frame.iloc[-1][["N", "M", "Q", "num_evals", "matrices"]].tolist() == [
        384, 32, 12, 288, 9
    ]  # fmt: skip


def test_figures_that_weightwatcher_has_go_by_its_names() -> None:
    card = cards.complete()
    frame = spectra_frame(card)
    assert set(frame.columns) >= THEIRS
    spectra = card.layers[4].spectra
    assert spectra is not None and spectra.matrix is not None
    spectrum = spectra.matrix
    assert spectrum.tail is not None and spectrum.truncated is not None
    assert spectrum.bulk is not None and spectrum.null is not None
    assert spectrum.shuffled is not None and spectrum.change is not None
    row: dict[str, Any] = frame[frame["name"] == card.layers[4].name].iloc[0].to_dict()
    assert (row["alpha"], row["D"]) == (spectrum.tail.alpha, spectrum.tail.distance)
    assert (row["num_pl_spikes"], row["xmin"]) == (spectrum.tail.spikes, spectrum.tail.xmin)
    assert row["truncated_p_value"] == spectrum.truncated.p_value
    assert row["bulk_distance"] == spectrum.bulk.distance
    assert row["null_excess"] == spectrum.null.excess
    assert row["shuffled_outliers"] == spectrum.shuffled.outliers
    assert row["change_distance"] == spectrum.change.distance
    parts = {"rows", "columns", "tail", "truncated", "bulk", "null", "shuffled", "change"}
    assert not (parts | {"reasons", "distance", "spikes"}) & set(frame.columns)


def test_what_has_no_fit_is_missing_and_a_card_without_spectra_has_columns_only() -> None:
    frame = spectra_frame(cards.complete())
    assert frame["alpha"].isna().tolist() == [place == 2 for place in range(40)]
    empty = spectra_frame(cards.realistic())
    assert len(empty) == 0
    assert list(empty.columns) == list(frame.columns)

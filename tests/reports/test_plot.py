"""Where the marks of a picture go."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from support import cards

from thermoscan.card import Card
from thermoscan_reports.axes import PROFILE, Frame
from thermoscan_reports.plot import ALPHA, EFFICIENCY, ORDER, RINGS, TITLED, plot_of
from thermoscan_reports.roles import GROUPS, group_of

FRAME = Frame(700, 300, left=50, right=50, top=10, bottom=30)


def line_of(*reduced: float | None) -> Card:
    base = cards.layer("h.w", "mlp up", (8, 8), 1.0, 0.1)
    layers = [
        replace(base, depth=place, reduced_temperature=value) for place, value in enumerate(reduced)
    ]
    return replace(cards.realistic(), layers=tuple(layers), findings=())


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_layers_are_spread_evenly_over_the_width() -> None:
    (series,) = plot_of(line_of(1.0, 1.0, 1.0), PROFILE, FRAME).series
    assert [places(dot.path)[0][0] for dot in series.dots] == [150, 350, 550]


def test_equal_ratios_are_equal_heights_on_a_logarithmic_axis() -> None:
    (series,) = plot_of(line_of(0.1, 1.0, 10.0), PROFILE, FRAME).series
    low, middle, high = (places(dot.path)[0][1] for dot in series.dots)
    assert low - middle == pytest.approx(middle - high, abs=1)
    assert 10 < high < low < 270


def test_efficiency_runs_from_the_bottom_at_0_to_the_top_at_1() -> None:
    card = cards.realistic()
    layers = tuple(
        cards.layer(f"w{x}", "linear", (4, 4), 1.0, 0.1, efficiency=x) for x in (0.0, 0.5, 1.0)
    )
    (series,) = plot_of(replace(card, layers=layers), EFFICIENCY, FRAME).series
    assert [places(dot.path)[0][1] for dot in series.dots] == [270, 140, 10]


def test_a_layer_without_a_value_or_at_zero_on_a_log_axis_is_counted_and_not_drawn() -> None:
    plot = plot_of(line_of(1.0, None, 0.0, 2.0), PROFILE, FRAME)
    assert (plot.drawn, plot.absent) == (2, 2)
    assert sum(len(series.dots) for series in plot.series) == 2


def test_nothing_to_draw_is_a_picture_too() -> None:
    plot = plot_of(cards.bare(), PROFILE, FRAME)
    assert (plot.drawn, plot.series, plot.ticks_x) == (0, (), ())
    assert plot.description == "Reduced temperature τ: no layer has a value."


def test_the_description_gives_range_and_median() -> None:
    description = plot_of(line_of(0.5, 1.5, 8.0), PROFILE, FRAME).description
    assert description.endswith("0.500 to 8.00, median 1.50.")


def test_lecun_and_he_are_marked_and_always_inside() -> None:
    plot = plot_of(line_of(1e-6, 1e-5), PROFILE, FRAME)
    assert [mark.label for mark in plot.landmarks] == ["LeCun", "He"]
    assert all(FRAME.top < mark.at < FRAME.height - FRAME.bottom for mark in plot.landmarks)


def test_the_exponent_is_drawn_where_its_tail_was_fitted_with_2_and_6_at_their_heights() -> None:
    plot = plot_of(cards.complete(), ALPHA, FRAME)
    assert (plot.drawn, plot.absent) == (38, 2)
    low, high = plot.landmarks
    ticks = {tick.label: tick.at for tick in plot.ticks_y}
    assert (low.label, high.label) == ("WW 2", "WW 6")
    assert low.at == ticks["2"]
    assert high.at < ticks["5"] < low.at
    assert plot_of(cards.realistic(), ALPHA, FRAME).drawn == 0


@pytest.mark.parametrize("spread", [1.01, 3.0, 1e3, 1e9, 1e250])
def test_a_value_axis_has_two_to_seven_ticks_at_their_true_heights(spread: float) -> None:
    plot = plot_of(line_of(1.0, spread), PROFILE, FRAME)
    assert 2 <= len(plot.ticks_y) <= 7
    heights = [tick.at for tick in plot.ticks_y]
    assert heights == sorted(heights, reverse=True)
    ones = [tick.at for tick in plot.ticks_y if tick.label == "1"]
    assert all(at == plot.landmarks[0].at for at in ones)


def test_the_axis_counts_blocks_and_layers_where_names_hold_no_block() -> None:
    plot = plot_of(cards.of_layers(300), PROFILE, FRAME)
    assert plot.axis_x == "block"
    assert len(plot.ticks_x) <= 8
    flat = tuple(replace(layer, depth=None) for layer in cards.of_layers(300).layers)
    flat_plot = plot_of(replace(cards.realistic(), layers=flat), PROFILE, FRAME)
    assert flat_plot.axis_x == "layer"
    assert [tick.label for tick in flat_plot.ticks_x][:2] == ["0", "38"]


def test_every_dot_has_a_title_with_name_and_value_while_they_are_few() -> None:
    few = plot_of(cards.of_layers(TITLED), PROFILE, FRAME)
    titles = [dot.title for series in few.series for dot in series.dots]
    assert few.titled
    assert "model.layers.0.self_attn.q_proj.weight τ" in titles[0]
    assert not plot_of(cards.of_layers(TITLED + 1), PROFILE, FRAME).titled


def test_a_deep_model_is_drawn_as_an_envelope_from_its_least_to_its_greatest_value() -> None:
    card = cards.of_layers(5000)
    plot = plot_of(card, ORDER, FRAME)
    outline = places(plot.band)
    upper, lower = outline[: FRAME.marks // 4], outline[FRAME.marks // 4 :][::-1]
    assert len(upper) == len(lower) == FRAME.marks // 4
    assert all(up[1] <= low[1] for up, low in zip(upper, lower, strict=True))
    every_dot = plot_of(card, ORDER, replace(FRAME, marks=5000))
    heights = [places(dot.path)[0][1] for series in every_dot.series for dot in series.dots]
    assert min(y for _, y in upper) == min(heights)
    assert max(y for _, y in lower) == max(heights)
    assert {series.group.label for series in plot.series} == {"attention", "MLP"}
    assert all(series.line and not series.dots for series in plot.series)


def test_few_findings_are_ringed_and_many_are_ticks() -> None:
    few = plot_of(cards.realistic(), PROFILE, FRAME)
    assert [(ring.index, ring.severity) for ring in few.rings] == [(38, "warning"), (2, "info")]
    assert few.rugs == ()
    many = plot_of(cards.of_layers(300), PROFILE, FRAME)
    assert many.rings == ()
    (rug,) = many.rugs
    assert rug.path.count("M") == len(cards.of_layers(300).findings) > RINGS


def test_groups_differ_in_mark_or_cap_and_in_colour_and_unknown_roles_have_one() -> None:
    assert len({group.light for group in GROUPS}) == len(GROUPS)
    assert len({group.dark for group in GROUPS}) == len(GROUPS)
    marks = [group.mark for group in GROUPS if group.label not in ("attention", "MLP")]
    assert len(set(marks)) == len(marks)
    assert group_of("<script>").label == "other"


def test_the_blocks_of_a_decoder_are_ticked_behind_those_of_the_encoder() -> None:
    depths = [None, 0, 0, 1, None, 0, 1, 1]
    some = cards.of_layers(8)
    layers = tuple(
        replace(layer, depth=depth) for layer, depth in zip(some.layers, depths, strict=True)
    )
    plot = plot_of(replace(some, layers=layers), PROFILE, FRAME)
    assert plot.axis_x == "block"
    assert [tick.label for tick in plot.ticks_x] == ["0", "1", "0", "1"]
    room = FRAME.width - FRAME.left - FRAME.right
    begin = [FRAME.left + room * (at + 0.5) / 8 for at in (1, 3, 5, 6)]
    assert [tick.at for tick in plot.ticks_x] == [round(at) for at in begin]


def test_a_few_layers_in_blocks_give_the_axis_no_blocks() -> None:
    some = cards.of_layers(9)
    depths = {3: 0, 4: 0, 5: 1, 6: 1}
    layers = tuple(replace(each, depth=depths.get(at)) for at, each in enumerate(some.layers))
    assert plot_of(replace(some, layers=layers), PROFILE, FRAME).axis_x == "layer"


def test_the_axis_of_a_pipeline_names_the_components_that_have_room() -> None:
    some = cards.of_layers(100)
    (file,) = some.model.files[:1]
    names = ("text_encoder", "unet", "vae")
    files = tuple(replace(file, name=f"{name}/model.safetensors") for name in names)
    owners = ["text_encoder"] * 5 + ["unet"] * 80 + ["vae"] * 15
    layers = tuple(
        replace(layer, name=f"{owner}.{at}.weight")
        for at, (layer, owner) in enumerate(zip(some.layers, owners, strict=True))
    )
    card = replace(some, model=replace(some.model, files=files), layers=layers)
    plot = plot_of(card, PROFILE, FRAME)
    assert plot.axis_x == "component"
    room = FRAME.width - FRAME.left - FRAME.right
    middle = {"unet": FRAME.left + room * 0.45, "vae": FRAME.left + room * 0.925}
    assert {tick.label: tick.at for tick in plot.ticks_x} == {
        name: round(at) for name, at in middle.items()
    }

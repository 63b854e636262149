"""Positions of runs, ticks, order and styles of the figure of a hyperparameter search."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import same_color

from astrocnn.evaluation.figures import plot_parallel_coordinates
from astrocnn.report import COLORS

N = 12
RATES = np.geomspace(1e-4, 1e-2, N)
WIDTHS = np.linspace(10, 120, N)
LOSSES = np.linspace(1.0, 2.0, N)


def get_lines(figure):
    """Lines of the runs, from the worst to the best; the axes are lines of two points."""
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]


def get_knots(line, n_axes):
    """Height of a line at each axis."""
    x, y = line.get_data()
    return np.interp(np.arange(n_axes), x, y)


def get_ticks(figure, place):
    """Tick labels of an axis and their heights."""
    return {
        text.get_text(): text.get_position()[1]
        for text in figure.axes[0].texts
        if abs(text.get_position()[0] - place) == pytest.approx(0.05)
    }


def plot(values, losses=LOSSES, **options):
    return plot_parallel_coordinates(values, losses, objective_name="val_loss", **options)


def test_numbers_are_linear_or_logarithmic_between_their_limits():
    figure = plot(
        {"training.rate": list(RATES), "model.width": list(WIDTHS)},
        log=["training.rate"],
        limits={"model.width": (0, 240)},
    )
    lines = get_lines(figure)
    assert len(lines) == N
    for rank, line in enumerate(reversed(lines)):
        rate, width, loss = get_knots(line, 3)
        assert rate == pytest.approx(np.log(RATES[rank] / 1e-4) / np.log(100))
        assert width == pytest.approx(WIDTHS[rank] / 240)
        assert loss == pytest.approx(rank / (N - 1))


def test_ticks_are_round_numbers_at_their_place():
    figure = plot(
        {"rate": list(RATES), "width": list(WIDTHS)},
        log=["rate"],
        limits={"rate": (1e-4, 1e-2), "width": (0, 100)},
    )
    ticks = get_ticks(figure, 0)
    # Two decades have ticks at one and three.
    assert ticks["0.001"] == pytest.approx(0.5)
    assert ticks["0.003"] == pytest.approx(np.log(30) / np.log(100))
    assert ticks["0.0001"] == 0 and ticks["0.01"] == pytest.approx(1)
    linear = get_ticks(figure, 1)
    for text, height in linear.items():
        assert height == pytest.approx(float(text) / 100)
    assert {"0", "100"} <= linear.keys()


@pytest.mark.parametrize("lowest", [True, False])
def test_the_best_run_is_orange_and_on_top(lowest):
    figure = plot({"rate": list(RATES)}, lowest=lowest)
    *others, best = get_lines(figure)
    assert same_color(best.get_color(), COLORS[1]) and best.get_linewidth() > 2
    assert not any(same_color(line.get_color(), COLORS[1]) for line in others)
    expected = LOSSES.min() if lowest else LOSSES.max()
    assert get_knots(best, 2)[1] == pytest.approx(expected - 1)


def test_unfinished_runs_are_dashed_and_never_the_best():
    broken = np.arange(N) == 0  # the lowest loss
    figure = plot({"rate": list(RATES)}, incomplete=broken)
    lines = get_lines(figure)
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1 and get_knots(dashed[0], 2)[1] == pytest.approx(0)
    (best,) = (line for line in lines if same_color(line.get_color(), COLORS[1]))
    assert get_knots(best, 2)[1] == pytest.approx(1 / (N - 1))
    assert any("not finished" in text.get_text() for text in figure.axes[0].texts)


def test_runs_without_a_score_are_left_out():
    losses = LOSSES.copy()
    losses[[2, 5]] = np.nan, np.inf
    assert len(get_lines(plot({"rate": list(RATES)}, losses))) == N - 2


def test_choices_are_evenly_spaced_and_runs_of_one_choice_side_by_side():
    choices = ["adam", "sgd", "lamb"] * 4
    figure = plot({"optimizer": choices, "flip": [True, False] * 6})
    ticks = get_ticks(figure, 0)
    assert ticks == pytest.approx({"adam": 1 / 6, "lamb": 3 / 6, "sgd": 5 / 6})
    assert set(get_ticks(figure, 1)) == {"false", "true"}
    heights = np.array([get_knots(line, 3)[0] for line in reversed(get_lines(figure))])
    assert len(np.unique(heights.round(9))) == N
    for choice, center in ticks.items():
        own = heights[[c == choice for c in choices]]
        assert own.mean() == pytest.approx(center)
        # The better the run, the lower it is.
        assert (np.diff(own) > 0).all() and np.ptp(own) <= 0.6 / 3


def test_names_are_short_unless_two_would_coincide():
    figure = plot({"training.learning_rate": list(RATES), "a.size": [1] * N, "b.size": [2] * N})
    names = [text.get_text() for text in figure.axes[0].texts if text.get_position()[1] == 1.05]
    assert names == ["learning\nrate", "a\nsize", "b\nsize", "val loss"]


def test_losses_over_decades_have_a_logarithmic_axis():
    losses = np.geomspace(0.01, 10, N)
    heights = [get_knots(line, 2)[1] for line in reversed(get_lines(plot({"x": [1] * N}, losses)))]
    np.testing.assert_allclose(heights, np.arange(N) / (N - 1), atol=1e-9)

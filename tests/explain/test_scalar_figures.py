"""Figures and words about networks that take scalars and no image."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from astrocnn.errors import PredictionError
from astrocnn.explain import figures
from astrocnn.explain.explained import Scalars
from astrocnn.explain.explanations import Explanations, Looked, chapters
from astrocnn.explain.figures.inputs import LESS, MORE

NAMES = ["g", "g - r", "size"]


def words(figure):
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip()]


def draw(figure):
    figure.canvas.draw()
    return figure


def told(n, names, **how):
    rng = np.random.default_rng(0)
    shape = (n, len(names))
    maps = {
        "integrated_gradients": rng.normal(size=(n, 1, len(names))),
        "saliency": rng.normal(size=(n, 1, len(names), 1)),
    }
    looked = Looked("mean of z", None, maps, [f"{k}\nlabel 0.1" for k in range(n)], **how)
    units = ["mag"] * len(names)
    return looked, Scalars(names, units, rng.normal(size=shape), rng.normal(size=shape))


def test_bars_have_the_length_of_what_is_added_and_the_color_of_its_sign():
    added = np.array([[0.5, -1.0, 0.0], [0.25, 0.125, -2.0]])
    beside = np.array([["g = 1", "g - r = 2", "size = 3"], ["g = 4", "g - r = 5", "size = 6"]])
    how = {"names": beside, "labels": ["first", "second"], "foot": "mean of z"}
    figure = draw(figures.input_bars({"one": added, "two": 2 * added}, **how))
    assert len(figure.axes) == 4
    for i in range(2):
        for j in range(2):
            bars = figure.axes[2 * i + j].patches
            np.testing.assert_allclose([bar.get_width() for bar in bars], (1 + j) * added[i])
            for bar, value in zip(bars, added[i], strict=True):
                assert bar.get_facecolor() == to_rgba(LESS if value < 0 else MORE)
        # The first input is above.
        bottom, top = figure.axes[2 * i].get_ylim()
        assert bottom > top
        labels = [t.get_text() for t in figure.axes[2 * i].get_yticklabels()]
        assert labels == beside[i].tolist()
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim()
    assert {"first", "second", "one", "two", "mean of z"} <= set(words(figure))


def test_the_summary_has_the_most_important_input_above():
    added = np.array([[0.5, -1.0, 0.1], [0.5, 2.0, -0.1]])
    figure = draw(figures.input_summary(added, added, names=NAMES, output="mean of z"))
    left, right = figure.axes[:2]
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], [1.5, 0.5, 0.1])
    assert [t.get_text() for t in left.get_yticklabels()] == ["g - r", "g", "size"]
    points = right.collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(points)[:, 0], [-1.0, 2.0])
    np.testing.assert_allclose(right.collections[0].get_array(), [-1.0, 2.0])
    assert "added to the mean of z" in words(figure)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_what_is_the_same_everywhere_is_drawn_in_silence(value):
    same = np.full((2, 40), value)
    names = [f"f{k}" for k in range(40)]
    draw(figures.spectra(same, {"one": same}, names=names, labels=["a", "b"]))
    draw(figures.spectrum_summary(same, {"one": same}, names=names))
    draw(figures.input_summary(same, same, names=names))


def test_shapes_that_do_not_belong_together_are_refused():
    good = np.ones((2, 3))
    with pytest.raises(PredictionError, match="for each object and input"):
        figures.input_bars({}, names=np.full((2, 3), "a"), labels=["a", "b"])
    with pytest.raises(PredictionError, match="for each object and input"):
        figures.input_summary(good[:1], good, names=NAMES)
    with pytest.raises(PredictionError, match="a name for each"):
        figures.spectra(good, {"one": good}, names=NAMES[:2], labels=["a", "b"])


def test_few_inputs_have_bars_and_their_shares():
    share = {"saliency": np.full((30, 3), 1 / 3)}
    looked, scalars = told(30, NAMES, shares=share, along=("predicted z", np.arange(30.0)))
    (chapter,) = chapters(Explanations((), [looked], scalars=scalars))
    # All objects, shares, shares along the redshift, and four sheets of six objects.
    assert len(chapter.figures) == 1 + 2 + 4
    assert [row[0] for row in chapter.tables[0].rows] == ["integrated gradients", "saliency"]
    sheet = set(words(chapter.figures[3].figure))
    value = scalars.values[0, 1]
    sign = "\u2212" if value < 0 else ""
    assert f"g \u2212 r = {sign}{abs(value):.4g} mag" in sheet and "0, label 0.1" in sheet


def test_many_inputs_have_spectra_at_the_numbers_in_their_names():
    looked, scalars = told(4, [f"flux_{k}" for k in range(3800, 3840)])
    (chapter,) = chapters(Explanations((), [looked], scalars=scalars))
    assert len(chapter.figures) == 1 + 2  # all objects, sheets of three
    above, below = chapter.figures[2].figure.axes
    np.testing.assert_array_equal(above.lines[0].get_xdata(), np.arange(3800, 3840))
    np.testing.assert_allclose(above.lines[0].get_ydata(), scalars.values[3])
    assert all(np.abs(line.get_ydata()).max() <= 1 for line in below.lines)
    assert "number in the name, flux_3800 to flux_3839" in words(chapter.figures[2].figure)
    assert any("mag" in word for word in words(chapter.figures[0].figure))

"""Chapters of the report: tables and figures of everything that was computed, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astrocnn.explain import Attribution, ExplainedObjects, Explanation, MapChecks, Scalars
from astrocnn.explain.chapters import build_chapters
from astrocnn.explain.checks import Pointing
from astrocnn.explain.hdus import image_hdu, table_hdu
from astrocnn.report.page import write_report

from .test_figures import BANDS, NAMES, curve, galaxies, maps_of, words


def explained_objects(n=7, bands=3):
    how = {"pixel_scale": 0.3, "orientation": "N up, E left", "unit": "nJy"}
    images = galaxies(n, bands)
    return ExplainedObjects(np.arange(n), np.arange(n), images=images, bands=BANDS[bands], **how)


def attribution(objects, label="logit of morphology = spiral", **changes):
    """Maps of two methods, with all checks."""
    n, bands = len(objects.ids), objects.images.shape[-1]
    maps = maps_of(objects.images)
    cam = {
        "curves": curve(n),
        "randomization": np.full((n, 2), 0.25),
        "shift": np.r_[np.nan, np.full(n - 1, 0.875)],
        "pointing": Pointing(np.full(n, 0.5), np.full(n, 0.125), np.r_[0.0, np.ones(n - 1)]),
    }
    return Attribution(
        label,
        objects,
        truths=["spiral"] * n,
        predictions=[""] * n,
        maps={"integrated_gradients": maps["gradient"], "grad_cam": maps["hidden"]},
        checks={
            "integrated_gradients": MapChecks(fractions=np.full((n, bands), 1 / bands)),
            "grad_cam": MapChecks(**(cam | changes)),
        },
        stages=["conv2", "conv1"],
        along=("$z$", np.linspace(0, 1, n)),
    )


def only_curves(objects, label, curves):
    one = attribution(objects, label)
    one.checks = {"integrated_gradients": MapChecks(), "grad_cam": MapChecks(curves=curves)}
    return Explanation(objects, [one])


def inspections(objects):
    n, rng = len(objects.ids), np.random.default_rng(0)
    images = np.moveaxis(objects.images, -1, 1)
    maps = np.abs(maps_of(objects.images)["gradient"][0])
    layer = ("LAYER", "act1", "")
    patches = images[None, :4]
    points = rng.normal(size=(n, 2))
    columns = {
        "row": (np.arange(n), "", ""),
        "x": (points[:, 0], "", ""),
        "y": (points[:, 1], "", ""),
        "color1": (np.array(["a", "b"] * n)[:n], "", "label"),
        "color2": (np.arange(float(n)), "", "entropy"),
    }
    return {
        "weights": [image_hdu("KERNELS", np.ones((4, 3, 3, 3)))],
        "feature_maps": [
            image_hdu("OBJECT", images[0]),
            image_hdu("FEATURES", np.moveaxis(maps, -1, 0), [layer]),
        ],
        "top_activations": [
            image_hdu("PATCHES", patches, [layer, ("FILTER1", 2, "")]),
            image_hdu("ACTIVATIONS", np.ones((1, 4))),
            image_hdu("RECONSTRUCTIONS", patches),
        ],
        "class_image": [image_hdu("CLASS_IMAGES", images[:1], [("CLASS1", "spiral", "")])],
        "deep_dream": [image_hdu("DREAMS", images[:2][None].repeat(2, axis=0))],
        "embedding": [table_hdu("EMBEDDING", columns, [("METHOD", "PCA", "")])],
    }


def test_chapters_show_all_there_is(tmp_path):
    objects = explained_objects()
    one = attribution(objects)
    found = build_chapters(
        Explanation(objects, [one], inspections(objects), images=lambda rows: objects.images[rows])
    )
    titles = [chapter.title for chapter in found]
    assert titles == ["Attribution", "Checks of the attribution", "Inside the network"]
    first, second, third = found
    assert len(first.figures) == 2 + 2 + 1  # sheets of six objects, two by band, fractions
    assert [row[0] for row in first.tables[0].rows] == ["integrated gradients", "Grad-CAM"]
    (table,) = second.tables
    (row,) = table.rows
    cells = dict(zip(table.columns, row, strict=True))
    assert cells["Method"] == "Grad-CAM"
    areas = np.trapezoid(curve(7).deletion, curve(7).fraction)
    less = np.trapezoid(curve(7).random_deletion, curve(7).fraction) - areas
    assert cells["Deletion"] == f"{less.mean():.3g} ({(less > 0).sum()} of 7)"
    assert cells["Insertion"] == "0.5 (7 of 7)"
    assert cells["Random weights"] == "0.25"
    assert cells["Image shifted"] == "0.88"
    assert (cells["Inside"], cells["Expected"]) == ("50\u00a0%", "12\u00a0%")
    assert cells["Peak inside"] == "6 of 7"
    assert sum(line.startswith(("Deletion:", "Inside:")) for line in second.text) == 2
    assert len(second.figures) == 2 and len(third.figures) == 7
    sheet = first.figures[0].figure
    assert "logit of morphology = spiral; N up, E left" in words(sheet)
    assert "flux [nJy]" in words(third.figures[3].figure)
    path = write_report(tmp_path / "report.html", title="one", chapters=found)
    assert path.read_text().count("<figure") == 14


def test_numbers_that_rise_without_the_object_are_checked_as_well():
    objects, falling = explained_objects(), curve(7)
    rising = falling._replace(**{n: -getattr(falling, n) for n in falling._fields[1:5]})
    rows = [
        build_chapters(only_curves(objects, "variance", c))[1].tables[0].rows[0]
        for c in (falling, rising)
    ]
    assert rows[0][:2] == rows[1][:2]  # by deletion; these insertions end elsewhere


def test_curves_of_opposite_directions_do_not_cancel():
    objects, falling = explained_objects(), curve(7)
    sign = np.where(np.arange(7) < 5, 1.0, -1.0)[:, None]
    mixed = falling._replace(**{n: sign * getattr(falling, n) for n in falling._fields[1:5]})
    lines = []
    for one in (falling, mixed):
        (picture,) = build_chapters(only_curves(objects, "logit", one))[1].figures
        lines.append([line.get_ydata() for axes in picture.figure.axes for line in axes.lines])
        assert ("For 2 of 7 objects" in picture.caption) == (len(lines) == 2)
    np.testing.assert_allclose(*lines)


@pytest.mark.parametrize("change, little", [(0.125, True), (0.25, False)])
def test_pixels_that_hardly_count_are_named(change, little):
    # Numbers from 0 to 6, of which the standard deviation is 2.
    deletion = np.arange(7.0)[:, None] + np.linspace(0, change, 6)
    found = only_curves(explained_objects(), "mean of z", curve(7)._replace(deletion=deletion))
    text = " ".join(build_chapters(found)[0].text)
    assert f"mean of z by {change:.2g} in the median" in text
    assert f"its median is 3 for the images and {3 + change:.3g} for empty sky." in text
    assert ("standard deviation 2): the network mostly uses inputs other than" in text) == little


def test_nothing_is_shown_that_was_not_computed():
    objects = explained_objects(2, 1)
    bare = attribution(objects)
    bare.checks = {}
    assert [c.title for c in build_chapters(Explanation(objects, [bare]))] == ["Attribution"]
    assert build_chapters(Explanation(objects)) == []
    many = attribution(explained_objects(24))
    many.maps = {}
    many.checks.pop("grad_cam")
    (first,) = build_chapters(Explanation(many.objects, [many]))
    assert len(first.figures) == 2  # from two dozen objects on fractions also along the redshift


def scalar_explanation(n, names, **checks):
    rng = np.random.default_rng(0)
    shape = (n, len(names))
    scalars = Scalars(names, ["mag"] * len(names), rng.normal(size=shape), rng.normal(size=shape))
    objects = ExplainedObjects(np.arange(n), np.arange(n), channels=names, scalars=scalars)
    one = Attribution(
        "mean of z",
        objects,
        truths=["0.1"] * n,
        predictions=[""] * n,
        maps={
            "integrated_gradients": rng.normal(size=(n, 1, len(names))),
            "saliency": rng.normal(size=(n, 1, len(names), 1)),
        },
        checks={"saliency": MapChecks(**checks)},
        along=("predicted z", np.arange(float(n))),
    )
    return Explanation(objects, [one])


def test_few_inputs_have_bars_and_fractions():
    found = scalar_explanation(30, NAMES, fractions=np.full((30, 3), 1 / 3))
    (chapter,) = build_chapters(found)
    # All objects, fractions, fractions along the redshift, and four sheets of six objects.
    assert len(chapter.figures) == 1 + 2 + 4
    assert [row[0] for row in chapter.tables[0].rows] == ["integrated gradients", "saliency"]
    sheet = set(words(chapter.figures[3].figure))
    value = found.objects.scalars.values[0, 1]
    sign = "\u2212" if value < 0 else ""
    assert f"g \u2212 r = {sign}{abs(value):.4g} mag" in sheet and "0, label 0.1" in sheet
    assert "saliency, per $\\sigma$" in sheet


def test_many_inputs_have_spectra_at_the_numbers_in_their_names():
    found = scalar_explanation(4, [f"flux_{k}" for k in range(3800, 3840)])
    (chapter,) = build_chapters(found)
    assert len(chapter.figures) == 1 + 2  # all objects, sheets of three
    above, below = chapter.figures[2].figure.axes
    np.testing.assert_array_equal(above.lines[0].get_xdata(), np.arange(3800, 3840))
    np.testing.assert_allclose(above.lines[0].get_ydata(), found.objects.scalars.values[3])
    assert all(np.abs(line.get_ydata()).max() <= 1 for line in below.lines)
    assert "number in the name, flux_3800 to flux_3839" in words(chapter.figures[2].figure)
    assert any("mag" in word for word in words(chapter.figures[0].figure))


def test_methods_that_are_not_known_here_keep_their_name():
    found = scalar_explanation(3, NAMES)
    one = found.attributions[0]
    one.maps = {"somebody_else_s": one.maps["saliency"]}
    one.checks = {}
    (chapter,) = build_chapters(replace(found, inspections={"another": []}))
    assert not chapter.tables and len(chapter.figures) == 1
    assert "somebody else s" in words(chapter.figures[0].figure)

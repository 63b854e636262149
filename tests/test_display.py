"""What objects show in a console and in a notebook."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from astrocnn import KerasEstimator, plot_bands, task, write_shards
from astrocnn.catalog import Catalog
from astrocnn.display import Displayed
from astrocnn.imaging import ArraySource, Survey
from astrocnn.metrics import Score


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """One object of each class that users meet first."""
    catalog = Catalog.from_table(
        {"id": np.arange(3) + 2**60, "ra": [1.0, 2.0, np.nan], "dec": [0.0, 0.0, 0.0]}
    )
    source = ArraySource(np.zeros((3, 16, 16, 2), np.float32), ["g", "<r>"], 0.25, "nJy")
    folder = tmp_path_factory.mktemp("shards")
    shards = write_shards(folder / "s", catalog, source)
    what = task("morphology", column="k", classes=["a", "b"])
    survey = Survey.from_dict({"name": "demo", "image": "{band}.fits", "bands": ["g", "r"]})
    return {
        "catalog": catalog,
        "source": source,
        "cutouts": source.read(np.arange(3)),
        "shards": shards,
        "task": what,
        "survey": survey,
        "estimator": KerasEstimator(what, shards.inputs, "plain8"),
    }


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("catalog", ["objects 3", "identifier id", "position ra, dec", "flagged 1"]),
        ("source", ["objects 3", "16 x 16", "bands g, <r>", "0.25 arcsec", "unit nJy"]),
        ("cutouts", ["objects 3", "16 x 16", "bands 2", "flagged 0"]),
        ("shards", ["objects 3", "16 x 16", "bands g, <r>"]),
        ("task", ["name morphology", "targets morphology (categorical)"]),
        ("survey", ["name demo", "kind tiles", "bands g, r"]),
        ("estimator", ["predicts morphology", "architecture plain8", "parameters not trained"]),
    ],
)
def test_one_line_says_what_it_is(objects, name, facts):
    line = repr(objects[name])
    assert "\n" not in line and len(line) < 200 and " at 0x" not in line
    for fact in facts:
        assert fact in line


def test_notebooks_show_a_table_of_the_same_facts_with_markup_escaped(objects):
    for one in objects.values():
        assert isinstance(one, Displayed)
        html = one._repr_html_()
        assert html.startswith("<table>") and html.count("<tr>") == repr(one).count(";") + 1
    assert "&lt;r&gt;" in objects["source"]._repr_html_()


def test_long_lists_are_cut_and_empty_facts_left_out():
    class Thing(Displayed):
        def _facts(self):
            return {"n": 1234567, "names": [f"c{i}" for i in range(20)], "unit": None, "note": ""}

    assert repr(Thing()) == "<Thing: n 1,234,567; names c0, c1, c2, c3, c4, c5, c6, c7 and 12 more>"


def test_a_score_shows_its_interval():
    score = Score("accuracy", 0.9, 0.85, 0.94, n_used=100)
    assert repr(score) == f"<Score {score}>" and "0.85" in repr(score)


def test_a_notebook_shows_figures_without_pyplot(monkeypatch):
    """The formatter of images is that of IPython, as '%matplotlib inline' registers it."""
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.kernel = object()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    figure = plot_bands(np.zeros((2, 8, 8, 1), np.float32), ["g"])
    data, _ = shell.display_formatter.format(figure)
    image = data["image/png"]
    image = base64.b64decode(image) if isinstance(image, str) else image
    assert image.startswith(b"\x89PNG")
    plain = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: plain)
    plot_bands(np.zeros((2, 8, 8, 1), np.float32), ["g"])
    assert "image/png" not in plain.display_formatter.format(figure)[0]

"""The map of embeddings: its projection, its content, and the page in a browser."""

from __future__ import annotations

import base64
import json
import re
import time

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.embeddings import map as map_module
from astrocnn.embeddings import project, select_colors, write_map
from astrocnn.errors import PredictionError
from astrocnn.report.gallery import encode_jpeg
from tests.labeling.conftest import browser  # noqa: F401
from tests.report.browser import inspect_page

from .conftest import cloud

FIRST = 2**60


def content(path):
    """What the page reads."""
    return json.loads(re.search(r"^const D = (.*);$", path.read_text(), re.MULTILINE)[1])


def test_principal_components_of_standardized_features(store):
    x = cloud(500, 4)
    x[:, 1] = 3 * x[:, 0] + 0.1 * x[:, 1]
    x[7] = np.nan
    made = project(store(x))
    good = np.delete(x.astype(np.float64), 7, axis=0)
    z = (good - good.mean(axis=0)) / good.std(axis=0)
    values, vectors = np.linalg.eigh(np.cov(z.T))
    for k in range(2):
        along = z @ vectors[:, -1 - k]
        along *= np.sign(along @ made.points[:, k])
        np.testing.assert_allclose(made.points[:, k], along, atol=1e-4)
    assert f"{100 * values[-1] / values.sum():.0f} %" in made.axes[0]
    assert made.ids.tolist() == [FIRST + i for i in range(500) if i != 7] and made.total == 499


def test_large_tables_are_sampled_and_say_so(store, tmp_path, monkeypatch):
    monkeypatch.setitem(map_module.MOST_POINTS, "pca", 100)
    made = project(store(cloud(400)), seed=3)
    assert len(set(made.ids.tolist())) == 100 and made.total == 400
    assert content(write_map(tmp_path / "m.html", made))["count"] == (
        "100 of 400 objects, chosen at random"
    )
    assert (project(store(cloud(400)), seed=3).ids == made.ids).all()


def test_neighbors_stay_neighbors_in_tsne(store):
    x = np.concatenate([cloud(40), cloud(40, seed=1) + 30])
    made = project(store(x), method="tsne")
    d = ((made.points[:, None] - made.points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(d, np.inf)
    assert ((d.argmin(axis=1) < 40) == (np.arange(80) < 40)).all()
    with pytest.raises(PredictionError, match="Unknown `method`"):
        project(store(x), method="tsnee")


def test_colors_follow_identifiers(store):
    ids = FIRST + np.arange(5)
    table = Table({"id": ids[::-1], "kind": ["a", "b", "a", "", "c"], "z": [1.0, 2, 3, 4, 5]})
    table["name"] = [f"name {i}" * 9 for i in range(5)]
    table["same"], table["vector"] = 1, np.zeros((5, 3))
    table["count"] = np.ma.array([1, 2, 3, 4, 5], mask=[0, 0, 0, 0, 1])
    got = select_colors(table, ids[[1, 3, 4]], "id")
    assert got["kind"].tolist() == ["", "b", "a"] and got["z"].tolist() == [4.0, 2.0, 1.0]
    # Classes come first; vectors, constants and texts that are all alike are left out.
    assert list(got) == ["kind", "name", "z", "count"]
    other = select_colors(table, [ids[0], 12], "id", ["count"])
    assert np.isnan(other["count"]).all()
    with pytest.raises(PredictionError, match="no such column"):
        select_colors(table, ids, "id", ["kin"])
    with pytest.raises(PredictionError, match="No object of the map"):
        select_colors(table, [1, 2], "id")


def test_the_page_holds_places_classes_and_identifiers(store, tmp_path):
    x = np.array([[0, 0], [4, 0], [0, 1], [4, 1.0]])
    ids = ["a,b", "</script>", "c", "d"]
    made = project(store(x, ids))
    shades = {"kind": np.array(["s", "", "s", "t"]), "z": np.array([0.5, np.nan, 1.0, 2.0])}
    path = write_map(tmp_path / "m.html", made, colors=shades, title="<b>")
    data, text = content(path), path.read_text()
    assert data["ids"] == ids and text.count("</script>") == 1 and "<title>&lt;b&gt;" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    xs = np.frombuffer(base64.b64decode(data["x"]), "<u2") / 65535 * data["span"] + data["low"][0]
    np.testing.assert_allclose(xs, made.points[:, 0], atol=1e-4)
    kind, z = data["columns"]
    assert kind["names"] == ["s", "t"]
    assert list(base64.b64decode(kind["values"])) == [0, 255, 0, 1]
    numbers = np.frombuffer(base64.b64decode(z["values"]), "<f4")
    assert np.isnan(numbers[1]) and numbers[3] == 2
    with pytest.raises(PredictionError, match="one value for each point"):
        write_map(path, made, colors={"z": np.zeros(3)})


def test_the_page_is_readable_in_both_schemes(store, tmp_path):
    made = project(store(cloud(50)))
    shades = {"kind": np.array(["spiral", "merger"] * 25)}
    path = write_map(tmp_path / "m.html", made, colors=shades, title="A map")
    for dark in (False, True):
        page = inspect_page(path, 400, dark)
        assert not (page.faint or page.wide or page.requests or page.messages)
        assert page.width <= 400 and page.language == "en" and page.title == "A map"


@pytest.fixture
def page(browser, store, tmp_path):  # noqa: F811
    """A map of two groups on the left and right, with classes, numbers and thumbnails."""
    x = 0.1 * np.concatenate([cloud(60, 3), cloud(40, 3, seed=1) + np.array([100, 100, 0])])
    made = project(store(x))
    shades = {
        "kind": np.array(["spiral"] * 60 + ["merger"] * 40),
        "z": np.concatenate([np.linspace(0, 1, 99), [np.nan]]),
    }
    picture = encode_jpeg(np.full((8, 8, 3), 0.5))
    path = write_map(
        tmp_path / "map.html", made, colors=shades, thumbnails=[picture] * 50 + [""] * 50
    )
    browser.open(path.as_uri())
    yield browser
    assert browser.errors() == []


def _drag(browser, points, shift):  # noqa: F811
    """Press the button, move along points and release it."""
    steps = [{"type": "pointerMove", "duration": 0, "x": x, "y": y} for x, y in points]
    pointer = [
        steps[0],
        {"type": "pointerDown", "button": 0},
        *steps[1:],
        {"type": "pointerUp", "button": 0},
    ]
    pauses = [{"type": "pause", "duration": 0}] * (len(pointer) - 1)
    down, up = ({"type": kind, "value": "\ue008"} for kind in ("keyDown", "keyUp"))
    keys = [down, *pauses[1:], up] if shift else [*pauses, {"type": "pause", "duration": 0}]
    browser._call(
        "POST",
        "/actions",
        {
            "actions": [
                {"type": "key", "id": "keyboard", "actions": keys},
                {"type": "pointer", "id": "mouse", "actions": [*pointer]},
            ]
        },
    )


def _box(browser):  # noqa: F811
    return browser.run(
        "const r = document.getElementById('map').getBoundingClientRect();"
        "return [r.left, r.top, r.right, r.bottom].map(Math.round)"
    )


@pytest.mark.slow
def test_a_lasso_saves_the_identifiers_inside(page):
    left, top, right, bottom = _box(page)
    middle = (left + right) // 2
    path = [(middle, top + 9), (right - 9, top + 9), (right - 9, bottom - 9), (middle, bottom - 9)]
    _drag(page, path, shift=True)
    sides = page.run("return [...selected].map((i) => D.columns[0].values[i])")
    assert len(set(sides)) == 1 and page.text("#status") == f"{len(sides)} selected"
    spirals = sides[0] == page.run("return D.columns[0].names.indexOf('spiral')")
    expected = [FIRST + i for i in (range(60) if spirals else range(60, 100))]
    page.press("s")
    for _ in range(100):
        if (saved := page.downloads / "selected.csv").is_file():
            break
        time.sleep(0.1)
    table = Table.read(saved, format="ascii.csv")
    saved.unlink()
    assert table["id"].tolist() == expected
    assert set(table["kind"]) == {"spiral" if spirals else "merger"}
    page.press("Escape")
    assert page.text("#status") == "nothing selected"


@pytest.mark.slow
def test_hover_zoom_drag_and_keys(page):
    left, top, _, _ = _box(page)
    x, y = page.run("return toScreen(0)")
    _drag(page, [(left + round(x), top + round(y))], shift=False)  # a click
    assert page.run("return [...selected].length") == 1
    assert str(FIRST)[:8] in page.text("#words") and "kind: spiral" in page.text("#words")
    assert page.run("return $('picture').hidden") is False
    before = page.run("return view.scale")
    page.press("+", "+")
    assert page.run("return view.scale") == pytest.approx(before * 1.4**2)
    place = page.run("return view.x")
    page.press("Left")
    assert page.run("return view.x") < place
    page.press("0")
    assert page.run("return [view.x, view.scale]") == [32767.5, pytest.approx(before)]
    center = page.run("return [width() / 2, height() / 2]")
    start = (left + round(center[0]), top + 40)
    _drag(page, [start, (start[0] + 100, start[1])], shift=False)
    assert page.run("return view.x") == pytest.approx(32767.5 - 100 / before, rel=1e-6)
    page.press("0", "Escape")
    # From the left to the right through the objects, without a mouse.
    page.run("setCurrent(-1)")
    page.press("n", "n", "Enter")
    row = page.run("return leftToRight[1]")
    assert page.run("return [...selected]") == [row]
    page.press("p")
    assert page.run("return current") == page.run("return leftToRight[0]")
    page.press("c")
    assert page.text("#legend-title") == "z" and page.run("return column") == 1
    page.press("c")
    page.click("#legend button")
    shown = page.run("return D.ids.filter((_, i) => isShown(i)).length")
    assert shown == 40
    page.press("a")
    assert page.run("return selected.size") == shown
    page.run("$('find').value = D.ids[99]; $('find').focus()")
    page.press("Enter")
    assert page.run("return current") == 99 and "no value" not in page.text("#words")


@pytest.mark.slow
def test_a_hundred_thousand_points_are_drawn_fast(browser, store, tmp_path):  # noqa: F811
    made = project(store(cloud(100_000, 2)))
    kinds = np.array(["a", "b", "c", "d"])[np.arange(100_000) % 4]
    path = write_map(tmp_path / "big.html", made, colors={"kind": kinds})
    assert path.stat().st_size < 5e6
    browser.open(path.as_uri())
    seconds = browser.run(
        "const t = performance.now(); for (let k = 0; k < 5; k++) draw();"
        "pen.getImageData(0, 0, 1, 1); return (performance.now() - t) / 5000"
    )
    found = browser.run(
        "const t = performance.now(); for (let k = 0; k < 100; k++) nearest(300 + k, 300);"
        "return (performance.now() - t) / 1e5"
    )
    # Ten frames a second even on a busy machine without a graphics card.
    assert seconds < 0.5 and found < 0.02
    assert browser.errors() == []

"""The page of labels as a person uses it, in a headless browser."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import read_catalog
from astrocnn.labeling import LabelServer, build_page, write_page
from astrocnn.targets import make

from .conftest import FIRST, classes, make_objects, tree

pytestmark = pytest.mark.slow

SAVED = "return sending === null && document.getElementById('saved').innerText === 'saved'"


@pytest.fixture
def page(browser, content, tmp_path):
    """The page in a browser without any labels."""
    path = write_page(tmp_path / "label.html", content)
    browser.open(path.as_uri())
    browser.run("localStorage.clear(); labels.clear(); past = []; rebuildQueue(); go(place);")
    yield browser
    assert browser.errors() == []


def rows_of(browser):
    text = browser.run("return writeTable()")
    return Table.read(text.splitlines(), format="ascii.csv") if text.count("\n") > 1 else []


def test_keys_label_skip_undo_and_write_notes(page):
    assert "0 of 29" in page.text("#counts") and str(FIRST) in page.text("#object")
    page.press("1", "2", "s")
    # The third object has no image, so that the fourth was skipped.
    assert str(FIRST + 4) in page.text("#object") and "2 of 29 · 1 skipped" in page.text("#counts")
    page.press("n", *"a,b", "Enter", "3")
    table = rows_of(page)
    assert table["objid"].tolist() == [FIRST, FIRST + 1, FIRST + 3, FIRST + 4]
    assert table["kind"].filled("").tolist() == ["spiral", "elliptical", "", "edge_on"]
    assert table["skipped"].tolist() == [0, 0, 1, 0] and table["note"][3] == "a,b"
    assert table["name"][1] == 'a "quoted", name 1' and table["seconds"][0] >= 0
    page.press("u")
    assert str(FIRST + 4) in page.text("#object")
    page.press("Backspace", "Backspace", "Backspace")  # the note, the skip, the second answer
    assert rows_of(page)["kind"].tolist() == ["spiral"]
    page.press("u", "u")
    assert len(rows_of(page)) == 0 and "nothing to undo" in page.text("#message")
    page.press("9")  # no such answer
    assert len(rows_of(page)) == 0


def test_buttons_do_the_same_and_leave_the_keys_alone(page):
    page.click("#answers button:nth-child(2)")
    page.press("1")
    page.click("#skip")
    page.click("#unsure")
    page.press("1")
    table = rows_of(page)
    assert table["kind"].filled("").tolist() == ["elliptical", "spiral", "", "spiral"]
    assert table["unsure"].tolist() == [0, 0, 0, 1]
    page.press("Left", "Left", "Left", "Left")
    assert page.run("return document.querySelector('.chosen .name').innerText") == "elliptical"
    page.press("3")  # another answer
    assert rows_of(page)["kind"][0] == "edge_on" and len(rows_of(page)) == 4


def test_unsure_objects_come_again_and_give_a_consistency(page):
    page.press("m", "1")
    repeated = page.run(
        "return D.rows.map((_, i) => i).filter((i) => D.usable[i] && isRepeated(i))"
    )
    page.press(*"1" * 19)
    assert page.run("return document.getElementById('badge').hidden") is False
    assert str(FIRST) in page.text("#object")
    page.press("2")
    # All others have one answer.
    page.wait(
        "if (place < queue.length && !current().again) answer(0);"
        "return place >= queue.length || current().again"
    )
    while page.run("return place < queue.length"):
        page.press("1")
    n = len({0, *repeated})
    same = n - 1
    assert f"{same} of {n} agree" in page.text("#consistency")
    assert "All objects are labelled." in page.text("#question")
    table = rows_of(page)
    assert len(table) == 29
    again = table["kind_repeat"].filled("").tolist()
    assert again[0] == "elliptical" and sum(value != "" for value in again) == n


def test_bands_zoom_and_help_change_the_image_only(page):
    def pixels():
        return page.wait(
            "const c = document.getElementById('image');"
            "return load(current().i).complete && "
            "Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
            ".filter((_, k) => k % 397 == 0).join()"
        )

    seen = [pixels()]
    for keys in (("b",), ("b",), ("+",), ("]",), ("i",)):
        page.press(*keys)
        time.sleep(0.1)
        seen.append(pixels())
    assert len(set(seen)) == len(seen)
    page.press("0", "i", "B", "B")
    time.sleep(0.1)
    assert pixels() == seen[0]
    page.press("h")
    assert page.run("return document.getElementById('help').open") is True
    page.press("1", "Escape")
    assert len(rows_of(page)) == 0
    box = page.run(
        "const r = document.getElementById('frame').getBoundingClientRect();"
        "return [r.width, r.height]"
    )
    assert abs(box[0] - box[1]) < 1 and box[0] > 400


def test_a_closed_browser_loses_nothing_and_a_table_is_read_back(page, content, tmp_path):
    page.press("1", "m", "2", "3", "s")
    before = page.run("return writeTable()")
    page.open("about:blank")
    page.open(write_page(tmp_path / "label.html", content).as_uri())
    assert page.run("return writeTable()") == before and "3 of 29" in page.text("#counts")
    assert str(FIRST + 5) in page.text("#object")
    page.click("#download")
    file = page.downloads / "labels.csv"
    for _ in range(200):
        if file.exists():
            break
        time.sleep(0.05)
    text = file.read_text()
    file.unlink()
    assert text == before
    page.run("localStorage.clear(); labels.clear(); rebuildQueue(); go(place);")
    (tmp_path / "mine.csv").write_text(text)
    page.upload("#upload", tmp_path / "mine.csv")
    page.wait("return labels.size === 4")
    assert page.run("return writeTable()") == before
    # Not one of the labels of a table with an object twice, or of another table.
    lines = text.splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([*lines, lines[1]]))
    page.run("labels.clear(); rebuildQueue(); go(place);")
    page.upload("#upload", tmp_path / "twice.csv")
    page.wait("return document.getElementById('message').innerText.includes('occurs twice')")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    page.upload("#upload", tmp_path / "other.csv")
    page.wait("return document.getElementById('message').innerText.includes('no column objid')")
    assert page.run("return labels.size") == 0


def test_a_decision_tree_asks_what_follows_and_train_reads_it(browser, tmp_path):
    catalog, source = make_objects(6)
    browser.open(write_page(tmp_path / "tree.html", build_page(catalog, source, tree())).as_uri())
    browser.run("localStorage.clear(); labels.clear(); past = []; rebuildQueue(); go(place);")
    assert "morphology?" in browser.text("#question")
    browser.press("2")
    assert "arms?" in browser.text("#question") and "featured" in browser.text("#trail")
    browser.press("1")
    assert "bar?" in browser.text("#question")
    browser.press("u", "2")  # no arms after all: the question of a bar does not follow
    assert str(FIRST + 1) in browser.text("#object")
    browser.press("1", "2")  # a smooth one; one that is left in the middle
    (tmp_path / "labels.csv").write_text(browser.run("return writeTable()"))
    read = read_catalog(tmp_path / "labels.csv")
    assert read.ids.tolist() == [FIRST, FIRST + 1, FIRST + 3]
    task = make(
        "morphology",
        classes=("smooth", "featured"),
        column="shape",
        questions={"arms": {"answers": {"yes": "arms_yes", "no": "arms_no"}, "total": "arms_all"}},
    )
    shape, arms = task.targets
    assert shape.encode(*read.column("shape"))[1].tolist() == [1, 1, 0]
    votes = np.stack([read.numbers(c) for c in arms.label_columns], axis=1)
    encoded, weight = arms.encode(votes, ~np.isfinite(votes))
    assert weight.tolist()[0] > 0 and weight.tolist()[1:] == [0, 0]
    assert encoded[0].tolist() == [0, 1]
    assert browser.errors() == []


def test_the_server_saves_after_each_answer_and_when_it_comes_back(browser, content, tmp_path):
    path = tmp_path / "labels.csv"

    @contextlib.contextmanager
    def served(port=0, token=None):
        server = LabelServer(content, path, port)
        server.token = token or server.token
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()

    with served() as server:
        browser.open(server.url)
        browser.run("localStorage.clear()")
        browser.press("1", "2")
        browser.wait(SAVED)
        assert Table.read(path, format="ascii.csv")["kind"].tolist() == ["spiral", "elliptical"]
    browser.press("3")
    browser.wait("return document.getElementById('saved').className === 'failed'")
    with served(server.server_address[1], server.token):
        browser.press("1")
        browser.wait(SAVED)
        assert len(Table.read(path, format="ascii.csv")) == 4
        browser.run("localStorage.clear()")
        browser.open(server.url)
        assert "4 of 29" in browser.text("#counts")
    browser.errors()  # of the refused connection


def test_five_thousand_objects_are_fluent(browser, tmp_path):
    from astrocnn.catalog import Catalog
    from astrocnn.imaging import ArraySource

    images = np.random.default_rng(0).normal(0, 1, (5000, 24, 24, 1)).astype(np.float32)
    catalog = Catalog.from_table(Table({"id": np.arange(5000)}))
    content = build_page(catalog, ArraySource(images, bands=("r",)), classes())
    browser.open(write_page(tmp_path / "many.html", content).as_uri())
    browser.run("localStorage.clear(); labels.clear(); past = []; rebuildQueue(); go(place);")
    seconds = browser.run(
        "const t = performance.now(); for (let k = 0; k < 300; k++) answer(k % 3);"
        "return (performance.now() - t) / 1000 / 300"
    )
    # An answer takes a small part of a second even when the machine is busy.
    assert seconds < 0.2
    assert browser.errors() == []

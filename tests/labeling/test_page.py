"""What a page of labels holds, its questions, and its server; without a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError, PredictionError
from astrocnn.imaging import ArraySource
from astrocnn.labeling import (
    LabelServer,
    build_page,
    build_questions,
    fill_page,
    table_header,
    write_page,
)
from astrocnn.report.gallery import make_rgb
from astrocnn.targets import make

from .conftest import BANDS, FIRST, classes, make_objects, tree


def test_questions_follow_the_answers_they_depend_on():
    questions = tree()
    assert [q.name for q in questions] == ["morphology", "arms", "bar"]
    assert questions[1].depends_on == ("morphology", "featured")
    assert questions[1].answers[0].values == {"arms_yes": "1", "arms_no": "0", "arms_all": "1"}
    assert [a.name for a in questions[2].answers] == ["yes", "no"]
    assert questions[2].columns == ("has_bar",)


def test_every_answer_is_a_label_of_its_target():
    """What the page writes is what the task reads, with a map that drops everything else too."""
    task = make(
        "morphology",
        classes=("spiral", "elliptical"),
        column="kind",
        map={"spiral_clockwise": "spiral", "*": ""},
        questions={"bar": "bar", "arms": {"answers": {"1": "a1", "more": "a2"}}},
    )
    for question, target in zip(build_questions(task), task.targets, strict=True):
        values = [[a.values[c] for c in target.label_columns] for a in question.answers]
        given = (
            np.array(values)[:, 0] if isinstance(target.column, str) else np.array(values, float)
        )
        encoded, weight = target.encode(given)
        assert (weight > 0).all() and len(np.unique(encoded, axis=0)) == len(question.answers)


def test_tasks_without_questions_are_refused():
    with pytest.raises(ConfigError, match="nothing that a person can answer"):
        build_questions(make("photoz"))
    with pytest.raises(ConfigError, match="too many answers"):
        build_questions(make("morphology", classes=[f"c{i}" for i in range(30)], column="c"))
    catalog, source = make_objects()
    with pytest.raises(ConfigError, match="identifies"):
        build_page(
            catalog, source, build_questions(make("morphology", classes=["a", "b"], column="ra"))
        )


def test_images_are_those_of_the_report(content):
    _, source = make_objects()
    assert content["panels"] == ["g i z", "g r i", "r i z", "g", "r", "i", "z"]
    assert content["usable"] == [i != 2 for i in range(30)]
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(content["images"][5]))))
    assert strip.shape == (16, 7 * 16, 3)
    expected = make_rgb(source.read(np.arange(30)).images, [1])[5]
    panel = strip[:, 4 * 16 : 5 * 16]
    # North is up, and JPEG loses little.
    np.testing.assert_allclose(panel / 255, expected[::-1], atol=0.25)
    assert np.abs(panel / 255 - expected[::-1]).mean() < 0.03
    assert np.unravel_index(panel[..., 0].argmax(), (16, 16)) == (15 - 5, 2)


def test_a_page_is_one_file_that_loads_nothing(content, tmp_path):
    text = write_page(tmp_path / "label.html", content).read_text()
    assert "<title>A &lt;survey&gt; &amp; more</title>" in text
    assert "default-src 'none'" in text
    outside = re.sub(r"data:image/[a-z+]+;base64,", "", text)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(?!data:)\w+:", outside)
    assert "http:" not in text and "https:" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["rows"][1][0] == str(FIRST + 1) and data["saveTo"] == ""
    assert data["columns"] == ["objid", "ra", "dec", "name", "mag"]
    assert np.float32(data["rows"][10][4]) == np.float32(10 / 7)


def test_text_of_a_catalogue_cannot_leave_its_place(tmp_path):
    catalog, source = make_objects(4)
    catalog.table["name"] = ["</script><script>alert(1)</script>", "<!--", "@js@", "\u2028é"]
    text = fill_page(build_page(catalog, source, classes(), title="</title><b>"))
    assert "<script>alert" not in text and "</title><b>" not in text
    assert text.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [row[3] for row in data["rows"]] == list(catalog.table["name"])


def test_a_page_without_images_or_with_too_many_is_refused(monkeypatch):
    catalog, source = make_objects(5)
    empty = ArraySource(np.full((5, 16, 16, 4), np.nan, np.float32), bands=BANDS)
    with pytest.raises(PredictionError, match="No object"):
        build_page(catalog, empty, classes())
    monkeypatch.setattr("astrocnn.labeling.page._MOST_BYTES", 1000)
    with pytest.raises(PredictionError, match="too many"):
        build_page(catalog, source, classes())


def test_five_thousand_objects_make_a_page(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (5000, 24, 24, 1)).astype(np.float32)
    catalog = Catalog.from_table(Table({"id": np.arange(5000)}))
    content = build_page(catalog, ArraySource(images, bands=("r",)), classes())
    size = write_page(tmp_path / "p.html", content).stat().st_size
    assert len(content["images"]) == 5000 and size < 20e6


@pytest.fixture
def server(content, tmp_path):
    made = LabelServer(content, tmp_path / "labels.csv")
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(url, body=None, **headers):
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(url, body, names)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def table_of(header, *rows):
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue().encode()


def test_the_server_gives_the_page_and_saves_labels(content, server):
    header = table_header(content)
    assert header[-4:] == ["unsure", "skipped", "note", "seconds"] and "kind_repeat" in header
    assert ask(server.url)[0] == 200
    row = [*content["rows"][0], "spiral", "", "0", "0", "", "1.5"]
    assert ask(server.url + "labels", table_of(header, row)) == (200, b"")
    stored = Table.read(server.labels, format="ascii.csv")
    assert stored["objid"].tolist() == [FIRST] and stored["kind"].tolist() == ["spiral"]
    # The page that is opened next begins with them.
    assert json.dumps("spiral")[1:-1] in ask(server.url)[1].decode().split('"labels": ')[1]


def test_nobody_else_reaches_the_server(content, server):
    assert server.server_address[0] == "127.0.0.1" and len(server.token) >= 20
    root = server.url.removesuffix(f"{server.token}/")
    good = table_of(table_header(content))
    assert ask(root)[0] == ask(root + "labels", good)[0] == 404
    assert ask(root + server.token[:-1] + "x/")[0] == 404
    assert ask(server.url, Host="evil.example")[0] == 404
    assert ask(server.url + "labels", good, Origin="http://evil.example")[0] == 404
    assert ask(server.url + "labels", b"a,b\n")[0] == 400
    assert ask(server.url + "labels", b"\xff")[0] == 400
    assert ask(server.url + "../../etc/passwd")[0] == 404
    assert not server.labels.exists()


def test_a_file_that_holds_other_labels_is_not_replaced(content, tmp_path):
    header, path = table_header(content), tmp_path / "labels.csv"
    row = [*content["rows"][0], "spiral", "", "0", "0", "", "1"]
    for body, message in (
        (b"id,kind\n1,spiral\n", "not a table of these labels"),
        (b"", "not a table of these labels"),
        (b"\xff\xfe", "cannot be read"),
        (table_of(header, row, row), "not a table of labels"),
    ):
        path.write_bytes(body)
        with pytest.raises(ConfigError, match=message):
            LabelServer(content, path)
        assert path.read_bytes() == body
    path.write_bytes(table_of(header, row))
    LabelServer(content, path).server_close()

"""Questions in their order, panels and columns of a page, labels that a server refuses."""

from __future__ import annotations

import csv
import io
import itertools

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError
from astrocnn.labeling import LabelServer, fill_page, table_header
from astrocnn.labeling import page as module
from astrocnn.labeling.questions import (
    Answer,
    Question,
    _sort,
    build_class_question,
    label_columns,
)

from .conftest import tree


def ask(name, parent=None):
    return Question(name, (Answer("yes", {name: "yes"}),), parent and (parent, "yes"))


def test_any_order_of_questions_becomes_one_that_can_be_asked():
    questions = [ask("a"), ask("b", "a"), ask("c", "b"), ask("d")]
    for order in itertools.permutations(questions):
        names = [q.name for q in _sort(order)]
        assert names.index("a") < names.index("b") < names.index("c") and len(names) == 4
    # Where nothing depends on anything the order stays.
    assert _sort(questions) == tuple(questions)


@pytest.mark.parametrize(
    "questions", [[ask("a", "b"), ask("b", "a")], [ask("a", "a")], [ask("a"), ask("b", "none")]]
)
def test_questions_that_can_never_be_asked(questions):
    with pytest.raises(ConfigError, match="depends on one that a person cannot answer") as caught:
        _sort(questions)
    assert ".yes" in str(caught.value)


def test_columns_of_answers():
    (question,) = build_class_question(["a", "b", "c"], "kind")
    assert [a.values for a in question.answers] == [{"kind": n} for n in "abc"]
    assert label_columns(tree()) == ("shape", "arms_yes", "arms_no", "arms_all", "has_bar")
    with pytest.raises(ConfigError, match="same column") as caught:
        label_columns([ask("a"), ask("b"), ask("a")])
    assert "'b'" not in str(caught.value)
    assert question.to_json()["answers"][1] == {"name": "b", "values": {"kind": "b"}}
    content = {"columns": ["id"], "questions": [question.to_json()]}
    assert table_header(content) == [
        "id", "kind", "kind_repeat", "unsure", "skipped", "note", "seconds"]  # fmt: skip


@pytest.mark.parametrize(
    ("bands", "panels"),
    [
        ("g", {"g": (0,)}),
        ("gr", {"g": (0,), "r": (1,)}),
        ("gri", {"g r i": (2, 1, 0), "g": (0,), "r": (1,), "i": (2,)}),
        ("griz", {"g i z": (3, 2, 0), "g r i": (2, 1, 0), "r i z": (3, 2, 1)}),
    ],
)
def test_panels_of_bands(bands, panels):
    found = module._choose_panels(list(bands))
    assert found == panels | {b: (k,) for k, b in enumerate(bands)}
    assert next(iter(found)) == next(iter(panels))


def test_values_are_written_so_that_they_read_back_the_same():
    rng = np.random.default_rng(0)
    table = Table({"id": rng.integers(-(2**62), 2**62, 50)})
    table["single"] = rng.normal(size=50).astype(np.float32)
    table["double"] = rng.normal(size=50) * 1e-30
    table["n"] = MaskedColumn(np.arange(50), mask=np.arange(50) % 7 == 0)
    table["double"][3] = np.nan
    catalog = Catalog.from_table(table)
    assert [int(t) for t in module._format(catalog, "id")] == table["id"].tolist()
    singles = np.array(module._format(catalog, "single"), np.float32)
    np.testing.assert_array_equal(singles, table["single"])
    doubles = module._format(catalog, "double")
    assert doubles[3] == "" and [float(t) for k, t in enumerate(doubles) if k != 3] == [
        v for k, v in enumerate(table["double"].tolist()) if k != 3
    ]
    counts = module._format(catalog, "n")
    assert [k for k, t in enumerate(counts) if not t] == list(range(0, 50, 7))
    assert counts[8] == "8"


def test_text_cannot_end_the_data_of_a_page(content):
    evil = {**content, "title": '</title><b>"&', "rows": [["</script><script>", "@title@"]]}
    page = fill_page(evil, labels="a,<!--")
    assert "</script><script>" not in page and "<!--" not in page.partition("<script")[2]
    assert "<title>&lt;/title&gt;&lt;b&gt;&quot;&amp;" in page


def test_what_a_server_saves(content, tmp_path):
    server = LabelServer(content, tmp_path / "labels.csv")
    try:
        for body in (b"\xff\xfe", b"", b"id,kind\n", b"\n"):
            assert "not a table" in server.save(body) and not server.labels.exists()
        text = io.StringIO()
        csv.writer(text).writerow(server.header)
        assert server.save(text.getvalue().encode()) == ""
        assert server.labels.read_bytes() == text.getvalue().encode()
        assert server.save(text.getvalue().replace("unsure", "sure").encode())
        assert server.labels.read_bytes() == text.getvalue().encode()
        assert server.url.endswith(f"/{server.token}/") and len(server.token) >= 20
        assert b"unsure,skipped,note,seconds" in server.render()
    finally:
        server.server_close()

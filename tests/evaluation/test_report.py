from __future__ import annotations

import re

import numpy as np
import pytest

from astrocnn.evaluation import evaluate, fit_majority, score
from astrocnn.evaluation.provenance_chapter import (
    data_chapter,
    model_chapter,
    provenance_chapter,
    training_chapter,
)
from astrocnn.evaluation.report_chapters import (
    figure_chapters,
    gallery_chapter,
    make_headline,
    scores_chapter,
)
from astrocnn.flags import Flag
from astrocnn.report import write_report
from tests.report.reading import Page


@pytest.fixture(scope="module")
def report(case, tmp_path_factory):
    task, encoded, weights, samples = case.task, case.encoded, case.weights, case.samples
    scores = score(task, encoded, weights, samples, n_resamples=100)
    evaluations = evaluate(task, encoded, weights, samples)
    majority = {t.name: fit_majority(t, encoded[t.name], weights[t.name]) for t in task.targets}
    always = {name: m.sample(160) for name, m in majority.items()}
    baselines = {"Majority class": score(task, encoded, weights, always, n_resamples=100)}
    tally = task.tally(encoded, weights)
    flags = np.zeros(160, int)
    flags[:3] = Flag.NO_DATA_PIXELS | Flag.LABEL_MISSING
    chapters = [
        scores_chapter(
            task, scores, baselines, descriptions={"Majority class": "always one"}, times_scored=2
        ),
        *figure_chapters(task, evaluations),
        gallery_chapter(
            task,
            evaluations,
            lambda rows: case.images[rows],
            pixel_scale=0.5,
            ids=np.arange(160),
            count=3,
        ),
        data_chapter(
            splits={"train": tally}, rows={"train": 160}, flags=flags, facts={"bands": "g, r, i"}
        ),
        model_chapter(facts={"parameters": 7}, layers=[("a", "Dense", "3", 1234)]),
        training_chapter({"loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "seconds": [3.0, 4.0]}),
        provenance_chapter({"seed": 0}),
    ]
    path = write_report(
        tmp_path_factory.mktemp("report") / "deep" / "report.html",
        title="Spirals & <others>",
        headline=make_headline(task, scores, baselines),
        chapters=chapters,
    )
    return path, scores, baselines


def test_the_report_is_self_contained(report):
    path, *_ = report
    reader = Page(path)
    tags = [tag for tag, _ in reader.tags]
    assert not {"script", "link", "iframe", "object"} & set(tags)
    for tag, attributes in reader.tags:
        for key in ("src", "href"):
            if key in attributes:
                assert attributes[key].startswith(("data:image/", "#")), (tag, attributes[key])
    page = re.sub(r'src="data:[^"]*"', "", path.read_text("utf-8"))
    assert "http" not in page and "url(" not in page
    assert path.stat().st_size < 3_000_000


def test_report_is_accessible(report):
    reader = Page(report[0])
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(images) >= 2 * 5 + 2 * 3 + 1
    assert all(len(image["alt"]) > 20 for image in images)
    anchors = {a["href"][1:] for tag, a in reader.tags if tag == "a"}
    assert anchors == {a["id"] for tag, a in reader.tags if "id" in a}
    assert dict(reader.tags)["html"] == {"lang": "en"}
    assert [tag for tag, _ in reader.tags].count("h1") == 1


def test_the_report_holds_scores_and_captions(report):
    _, scores, baselines = report
    text = Page(report[0]).text
    text = text.replace("\u00a0", " ")
    assert "Spirals & <others>" in text
    accuracy, majority = scores[0], baselines["Majority class"][0]
    assert f"{100 * accuracy.value:.1f} %" in text
    assert f"[{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]" in text
    assert f"{100 * majority.value:.1f} %" in text
    assert "5 excluded (4 without a label, 1 without a prediction)" in text
    assert "The test split has been scored twice" in text
    assert "Majority class: always one." in text
    assert Flag.NO_DATA_PIXELS.sentence in text and "1.9 %" in text
    assert Flag.NO_COVERAGE.sentence not in text
    assert "Predicted with 8 draws" in text
    assert "1,234" in text
    assert "predicted as" not in text  # that is for the alternative text alone


def test_a_single_pass_has_unknown_epistemic_uncertainty(case):
    samples = {name: s[:1] for name, s in case.samples.items()}
    evaluations = evaluate(case.task, case.encoded, case.weights, samples)
    chapters = figure_chapters(case.task, evaluations)
    assert any("single deterministic pass" in line for line in chapters[1].text)

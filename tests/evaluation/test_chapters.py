"""Tables and chapters hold the numbers of the scores they show."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astrocnn.calibration import Temperature
from astrocnn.errors import PredictionError
from astrocnn.evaluation import (
    baseline_scores,
    evaluate,
    evaluate_target,
    format_interval,
    format_score,
    format_value,
    get_label,
    read_scores,
    score,
    write_scores,
)
from astrocnn.evaluation.calibration_chapters import (
    calibration_chapter,
    calibration_table,
    compare_calibration,
)
from astrocnn.evaluation.labels import split_class_score
from astrocnn.evaluation.provenance_chapter import (
    data_chapter,
    model_chapter,
    provenance_chapter,
    training_chapter,
)
from astrocnn.evaluation.report_chapters import (
    figure_chapters,
    gallery_chapter,
    list_grouped_targets,
    make_headline,
    score_tables,
    scores_chapter,
)
from astrocnn.flags import Flag
from astrocnn.metrics import Score, ece
from astrocnn.report import write_report
from astrocnn.targets import Bernoulli, Categorical, Target, Task, make
from tests.report.reading import Page


@pytest.fixture(scope="module")
def scored(case, tmp_path_factory):
    """Scores as they come back from ``scores.json``."""
    path = tmp_path_factory.mktemp("scores") / "scores.json"
    labels = case.encoded, case.weights
    scores = score(case.task, *labels, case.samples, n_resamples=60)
    baselines, descriptions = baseline_scores(case.task, labels, labels, n_resamples=60)
    write_scores(path, scores, baselines=baselines, descriptions=descriptions)
    return path, *read_scores(path)


def find_cells(table):
    return {row[0].partition("\n")[0]: row[1:] for row in table.rows}


def test_every_score_of_the_file_stands_in_a_table(case, scored):
    path, scores, baselines, _ = scored
    tables = score_tables(case.task, scores, baselines)
    general = {t.caption.partition(":")[0]: t for t in tables if "single classes" not in t.caption}
    classes = {t.caption.partition(":")[0]: t for t in tables if "single classes" in t.caption}
    content = json.loads(path.read_text())
    assert len(content["scores"]) == len(scores) > 40
    for s in scores:
        kind, name = split_class_score(s.name)
        if kind:
            table = classes[s.target]
            column = list(table.columns).index(
                {"ece": "Calibration error", "auc": "ROC AUC"}.get(kind, kind.capitalize())
            )
            assert find_cells(table)[name][column - 1] == format_score(s)
        else:
            model, majority = find_cells(general[s.target])[get_label(s.name)]
            assert model == format_score(s)
            (other,) = (
                b for b in baselines["Majority"] if (b.target, b.name) == (s.target, s.name)
            )
            assert majority == format_score(other)


def test_the_page_holds_the_numbers_of_the_file(case, scored, tmp_path):
    _, scores, baselines, about = scored
    chapter = scores_chapter(
        case.task, scores, baselines, descriptions=about["descriptions"], times_scored=3
    )
    path = write_report(
        tmp_path / "r.html",
        title="t",
        chapters=[chapter],
        headline=make_headline(case.task, scores, baselines),
    )
    page = Page(path)
    cells = {cell for row in page.rows for cell in row}
    for s in scores:
        assert format_score(s) in cells, s.name
    assert "scored 3 times" in page.text
    assert "Majority: always 'elliptical', the most frequent class" in page.text
    first = scores[0]
    for text in (format_value(first), format_interval(first)):
        assert text.replace("\u00a0", " ") in page.text


def test_tables_for_the_terminal_have_neither_notes_nor_single_classes(case, scored):
    _, scores, baselines, _ = scored
    full, compact = (
        score_tables(case.task, scores, baselines, compact=compact) for compact in (False, True)
    )
    assert len(compact) == 2 and len(full) == 4
    assert not any("\n" in cell for table in compact for row in table.rows for cell in row)
    assert not any("[" in row[2] for table in compact for row in table.rows)
    assert [row[1] for row in compact[0].rows] == [row[1] for row in full[0].rows]


def test_intervals_of_several_baselines_are_left_out(case, scored):
    _, scores, baselines, _ = scored
    several = dict.fromkeys(("a", "b"), baselines["Majority"])
    table = score_tables(case.task, scores, several)[0]
    assert list(table.columns) == ["Score", "Model", "a", "b"]
    assert all("[" not in cell for row in table.rows for cell in row[2:])


def test_a_baseline_of_another_target_leaves_no_column(case, scored):
    _, scores, baselines, _ = scored
    only = {"Cut": [s for s in baselines["Majority"] if s.target == "bar"]}
    first, _, second, _ = score_tables(case.task, scores, only)
    assert list(first.columns) == ["Score", "Model"]
    assert list(second.columns) == ["Score", "Model", "Cut"]


@pytest.mark.parametrize(("n_questions", "grouped"), [(1, 0), (4, 0), (5, 4), (9, 8)])
def test_more_than_three_questions_beside_the_headline_are_grouped(n_questions, grouped):
    targets = tuple(Target(f"q{k}", Bernoulli(), f"q{k}") for k in range(n_questions))
    names = list_grouped_targets(Task("t", targets, "q0.auc"))
    assert len(names) == grouped and "q0" not in names
    classes = tuple(Target(f"m{k}", Categorical(("a", "b", "c")), "m") for k in range(6))
    assert list_grouped_targets(Task("t", classes, "m0.accuracy")) == []


def test_headline_of_a_score_without_interval_or_baseline():
    task = make("quality")
    s = Score("accuracy", 0.9, np.nan, np.nan, 1200, 34, "34 without a label", "usable")
    task = Task(task.name, task.targets, "usable.accuracy")
    head = make_headline(task, [s])
    assert (head.name, head.value, head.interval) == ("Accuracy, usable", "90.0\u00a0%", "")
    assert head.sentence == (
        "On 1,200 objects of the test split; 34 excluded (34 without a label)."
    )


def test_every_figure_has_a_caption_and_an_alternative_text(case):
    evaluations = evaluate(case.task, case.encoded, case.weights, case.samples)
    by = {"mag": np.linspace(14, 18, 160)}
    chapters = figure_chapters(case.task, evaluations, by=by)
    assert [c.title for c in chapters] == ["Classes", "Uncertainty"]
    pictures = [picture for chapter in chapters for picture in chapter.figures]
    assert len(pictures) == sum(
        len(e.figures({"mag": np.linspace(14, 18, 160)})) for e in evaluations
    )
    for picture in pictures:
        assert picture.caption.endswith(".") and picture.caption in picture.alternative
    assert any("in bins of mag" in picture.caption for picture in pictures)


def test_galleries_read_the_images_of_the_chosen_objects(case):
    evaluations = evaluate(case.task, case.encoded, case.weights, case.samples)
    rows = []

    def read(chosen):
        rows.append(chosen.tolist())
        return case.images[chosen]

    chapter = gallery_chapter(case.task, evaluations, read, ids=np.arange(160) + 1000, count=4)
    expected = [[s.row for s in stamps] for e in evaluations for stamps in e.stamps(4).values()]
    assert rows == expected and len(chapter.figures) == len(expected)
    titles = [axes.get_title() for axes in chapter.figures[0].figure.axes]
    assert titles == [str(1000 + row) for row in expected[0]]


def test_grouped_figures_name_all_questions():
    rng = np.random.default_rng(0)
    targets = tuple(Target(f"q{k}", Bernoulli(), f"q{k}") for k in range(6))
    task = Task("t", targets, "q0.auc")
    encoded, weights = task.encode({f"q{k}": rng.integers(0, 2, 50) for k in range(6)})
    samples = {t.name: rng.random((2, 50, 1)) for t in targets}
    evaluations = evaluate(task, encoded, weights, samples)
    captions = [p.caption for c in figure_chapters(task, evaluations) for p in c.figures]
    assert {c.partition(":")[0] for c in captions} == {"q0", "all questions"}


# Calibration


def test_temperature_scaling_is_cross_fitted_on_two_halves():
    """Overconfident by a factor of three in the logit: after calibration the ECE is small."""
    rng = np.random.default_rng(1)
    n = 4000
    logit = rng.normal(0, 1.5, n)
    positive = rng.random(n) < 1 / (1 + np.exp(-logit))
    target = Target("q", Bernoulli(), "q")
    task = Task("t", (target,), "q.ece")
    encoded, weights = task.encode({"q": positive.astype(float)})
    samples = {"q": (1 / (1 + np.exp(-3 * logit)))[None, :, None]}
    remap = Temperature.fit(target.family, encoded["q"], weights["q"], samples["q"])
    compared = compare_calibration(task, {"q": remap}, encoded, weights, samples, seed=0)
    before, after = compared["q"]
    assert before.shape == after.shape == (2, n // 2)
    np.testing.assert_array_equal(before[1], after[1])  # the same objects, the same decisions
    assert ece(before[0], before[1]) > 0.1 > 0.03 > ece(after[0], after[1])
    chapter = calibration_chapter([], compared, ["a selection of 95 %", "q: unchanged"])
    assert "Cross-fitted" in chapter.text[0]
    assert chapter.text[1:] == ["A selection of 95 %.", "q: unchanged."]
    (picture,) = chapter.figures
    legend = [t.get_text() for t in picture.figure.axes[0].get_legend().get_texts()]
    assert legend[0].startswith("before: ECE") and legend[1].startswith("after: ECE")
    assert compare_calibration(task, {}, encoded, weights, samples) == {}


def test_calibration_table_shows_what_is_known():
    rows = [
        {"target": "z", "score": "pit_ks", "before": 0.0812, "after": 0.0213, "expected": 0.0187},
        {"target": "z", "score": "crps", "before": 0.5, "after": 0.25},
    ]
    table = calibration_table(rows)
    assert [list(row) for row in table.rows] == [
        ["z: PIT, Kolmogorov-Smirnov distance", "0.0812", "0.0213", "0.0187"],
        ["z: CRPS", "0.5", "0.25", ""],
    ]
    rng = np.random.default_rng(0)
    pits = rng.random((1, 300)) ** 2, rng.random((1, 300))
    chapter = calibration_chapter(rows, {"z": pits})
    assert len(chapter.figures) == 2 and list(chapter.tables) == [table]


# Data, training, model


def test_data_chapter_counts_labels_and_flags():
    splits = {"train": {"kind": {"a": 1200, "b": 3}}, "test": {"kind": {"b": 2}}}
    flags = np.zeros(50, int)
    flags[:4] = Flag.NO_DATA_PIXELS
    flags[:1] |= Flag.LABEL_MISSING
    chapter = data_chapter(splits=splits, rows={"train": 1500, "test": 9}, flags=flags)
    objects, found = chapter.tables
    assert list(objects.columns) == ["Objects", "train", "test"]
    assert objects.rows == [
        ["All rows", "1,500", "9"],
        ["kind: a", "1,200", "0"],
        ["kind: b", "3", "2"],
    ]
    assert {row[0]: row[1:] for row in found.rows} == {
        Flag.NO_DATA_PIXELS.sentence: ["4", "8.0\u00a0%"],
        Flag.LABEL_MISSING.sentence: ["1", "2.0\u00a0%"],
    }
    none = data_chapter(splits=splits, rows={}, flags=np.zeros(7, int)).tables[1]
    assert none.rows == [["No flags", "7", ""]]


@pytest.mark.parametrize(
    ("history", "best"),
    [
        ({"epoch": [1, 2, 3], "loss": [3, 2, 1], "val_loss": [3, 1, 2]}, 2),
        ({"epoch": [1, 2, 3], "loss": [3, 2, 1]}, 3),
        ({"loss": [1, np.nan, 2]}, 1),
    ],
)
def test_the_best_epoch_has_the_lowest_validation_loss(history, best):
    more = {"seconds": [2.0] * 3, "learning_rate": [1e-4, 1e-3, 5e-4]}
    chapter = training_chapter({**history, **more}, facts={"Initial weights": "zoo"})
    assert f"epoch {best} were kept" in chapter.figures[0].caption
    assert {row[0]: row[1] for row in chapter.tables[0].rows} == {
        "Epochs": "3",
        "Time": "6 s",
        "Highest learning rate": "0.001",
        "Initial weights": "zoo",
    }


def test_layers_are_folded_and_facts_are_text():
    facts, layers = model_chapter(
        facts={"Parameters": 1234}, layers=[("conv", "Conv2D", "8 x 8 x 4", 1234)]
    ).tables
    assert facts.rows == [["Parameters", "1234"]]
    assert layers.folded and layers.rows == [["conv", "Conv2D", "8 x 8 x 4", "1,234"]]
    assert provenance_chapter({"Seed": 0}).tables[0].rows == [["Seed", "0"]]


def test_an_unknown_kind_of_family_is_refused():
    class Odd(Bernoulli):
        kind = "oracle"

    target = Target("q", Odd(), "q")
    with pytest.raises(PredictionError, match="unknown kind") as error:
        evaluate_target(target, np.zeros((2, 1)), np.ones(2), np.zeros((1, 2, 1)))
    assert "classes, density, votes" in str(error.value)

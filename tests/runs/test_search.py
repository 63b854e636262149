"""``astrocnn search``: trials are a matter of the seed and their number, and survive a kill."""

from __future__ import annotations

import csv
import itertools
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from astrocnn.errors import ConfigError, MissingDependency, TrainingError
from astrocnn.evaluation import figures
from astrocnn.runs.config import load_run, parse_run
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.search.folder import SearchFolder, set_values
from astrocnn.runs.search.results import read_results
from astrocnn.runs.search.sampling import (
    grid_values,
    known_values,
    random_values,
    uniform,
)
from astrocnn.runs.search.section import Range
from astrocnn.runs.search.worker import in_workers, work
from astrocnn.runs.verbs import train
from astrocnn.runs.verbs.search import run as search
from astrocnn.training import History

from .command import astrocnn

RUN = """
title = "two numbers"

[catalog]
file = "objects.ecsv"

[inputs]
scalars = ["a", "b"]

[split]
fractions = [0.6, 0.2, 0.2]

[task]
name = "morphology"
column = "kind"
classes = ["low", "high"]

[model]
architecture = "ann"
options = { width = 0.1 }

[training]
epochs = 2
strategy = "one"

[prediction]
draws = 0
precision = "float32"

[search]
trials = 3
seed = 5

[search.space]
"training.learning_rate" = { low = 1e-4, high = 1e-1, scale = "log" }
"training.batch_size" = { low = 30, high = 60, scale = "log", integer = true }
model.options.activation = { choices = ["relu", "tanh"] }
"""
LR, BATCH, ACTIVATION = "training.learning_rate", "training.batch_size", "model.options.activation"
SPACE = {
    LR: Range(low=1e-5, high=1e-1, scale="log"),
    BATCH: Range(low=16, high=128, scale="log", integer=True),
    "augmentation.shift": Range(low=0, high=2),
    ACTIVATION: Range(choices=("relu", "gelu", "tanh")),
}


def words(text: str) -> str:
    """Without the frames and line breaks of the terminal."""
    return " ".join(text.translate(dict.fromkeys(map(ord, "│┃"), " ")).split())


def settled(folder) -> list[str]:
    """The table of a search but for the times."""
    table = Table.read(folder / "trials.ecsv")
    table.remove_column("seconds")
    return table.pformat()


def history(folder) -> list[dict[str, str]]:
    """The epochs of a run but for the times."""
    with open(folder / "history.csv", newline="") as stream:
        return [{**line, "seconds": ""} for line in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A class that two numbers tell, a run file, and its search."""
    folder = tmp_path_factory.mktemp("searched")
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 300))
    kind = np.where(a + b > rng.logistic(0, 0.2, 300), "high", "low")
    Table({"id": np.arange(300), "a": a, "b": b, "kind": kind}).write(folder / "objects.ecsv")
    (folder / "run.toml").write_text(RUN)
    said = astrocnn("search", folder / "run.toml", "--out", folder / "out")
    (folder / "said.txt").write_text(said)
    return folder


@pytest.fixture
def again(place, tmp_path):
    """A copy of the search to do something to."""
    return shutil.copytree(place / "out", tmp_path / "out", symlinks=True)


@pytest.fixture
def quick(monkeypatch):
    """Trainings that take no time: a loss that falls to (lg rate + 2)^2, or runs away."""

    def run(config, out, *, cut, callbacks):
        rate = config.training.learning_rate
        folder, told = RunDirectory.create(out, config), History()
        for epoch in range(1, config.training.epochs + 1):
            if rate > 0.5:
                raise TrainingError("The loss is not a number.", received=f"rate {rate}")
            loss = (np.log10(rate) + 2) ** 2 + 1 / epoch
            told.rows.append({"epoch": epoch, "loss": loss, "val_loss": loss, "seconds": 0.1})
            told.write_csv(folder.history)
            for callback in callbacks:
                callback(told)
        yield "trained"

    monkeypatch.setattr(train, "run", run)


# ---- what is tried


@given(st.integers(0, 2**63 - 1), st.integers(0, 9999), st.permutations(list(SPACE)))
def test_a_trial_depends_on_seed_and_number_alone(seed, number, order):
    values = random_values(SPACE, seed, number)
    # Neither the order of the parameters nor what else is varied plays a part.
    assert random_values({name: SPACE[name] for name in order}, seed, number) == values
    one = order[0]
    assert random_values({one: SPACE[one]}, seed, number) == {one: values[one]}
    for name, value in values.items():
        inside = SPACE[name]
        if inside.choices is not None:
            assert value in inside.choices
            continue
        assert inside.low <= value <= inside.high
        assert type(value) is (int if inside.integer else float)


def test_the_values_of_a_seed_never_change():
    """Run files of a search must be the same in ten years: these are written down."""
    assert uniform(0, 0, "training.learning_rate") == 0.5266743713561812
    assert uniform(0, 0, "training.batch_size") != uniform(0, 0, "training.learning_rate")


def test_neither_number_nor_name_nor_seed_is_correlated_with_another():
    u = np.array([[uniform(s, k, LR) for k in range(300)] for s in (0, 1)])
    v = np.array([uniform(0, k, BATCH) for k in range(300)])
    assert stats.kstest(u.ravel(), "uniform").pvalue > 0.01
    for x, y in ((u[0], u[1]), (u[0], v), (u[0, 1:], u[0, :-1])):
        assert abs(stats.spearmanr(x, y).statistic) < 3 / np.sqrt(300)


def test_scales_have_their_distributions():
    drawn = [random_values(SPACE, 3, k) for k in range(2000)]
    rates = np.log10([d[LR] for d in drawn])
    assert stats.kstest(rates, stats.uniform(-5, 4).cdf).pvalue > 0.01
    shifts = [d["augmentation.shift"] for d in drawn]
    assert stats.kstest(shifts, stats.uniform(0, 2).cdf).pvalue > 0.01
    # A whole number n stands for [n - 1/2, n + 1/2), so P(n) is log((2n + 1) / (2n - 1)).
    n = np.arange(16, 129)
    expected = np.log((2 * n + 1) / (2 * n - 1)) / np.log(257 / 31)
    counts = np.bincount([d[BATCH] for d in drawn], minlength=129)[16:]
    wide = [range(a, b) for a, b in itertools.pairwise((0, 10, 25, 50, 80, 113))]
    found, wanted = ([x[list(r)].sum() for r in wide] for x in (counts, 2000 * expected))
    assert stats.chisquare(found, wanted).pvalue > 0.01
    chosen = [d[ACTIVATION] for d in drawn]
    assert stats.chisquare([chosen.count(c) for c in SPACE[ACTIVATION].choices]).pvalue > 0.01


def test_a_grid_takes_every_combination_once():
    space = {
        LR: Range(low=1e-4, high=1e-1, scale="log", points=4),
        BATCH: Range(low=3, high=4, integer=True, points=9),
        "augmentation.d4": Range(choices=(True, False, "rotations")),
    }
    drawn = [tuple(grid_values(space, k).values()) for k in range(4 * 2 * 3)]
    assert drawn == list(
        itertools.product([1e-4, 1e-3, 1e-2, 1e-1], [3, 4], [True, False, "rotations"])
    )


def test_whole_tables_go_before_what_is_inside_them():
    base = {"model": {"architecture": "ann", "options": {"width": 0.5}}, "seed": 1}
    values = {"model.options.width": 2.0, "model": {"architecture": "lenet"}}
    assert set_values(base, values) == {
        "model": {"architecture": "lenet", "options": {"width": 2.0}},
        "seed": 1,
    }
    assert base["model"]["architecture"] == "ann"


# ---- a search from the run file to the best run


def test_every_trial_is_a_plain_run(place):
    out = place / "out"
    said = words((place / "said.txt").read_text())
    assert "3 complete" in said and said.count("val_loss 0.") == 3 and "best.toml" in said
    config = load_run(place / "run.toml")
    table = Table.read(out / "trials.ecsv")
    assert len(table) == 3 and table["seconds"].unit == "s"
    np.testing.assert_array_equal(np.sort(table["val_loss"]), table["val_loss"])
    for row in table:
        number = int(row["trial"])
        values = known_values(config.search, number)
        assert {name: row[name] for name in values} == values
        own = load_run(out / f"trials/{number:04d}/run.toml")
        assert own.search is None and own.training.batch_size == values[BATCH]
        assert own.model.options == {"width": 0.1, "activation": values[ACTIVATION]}
        losses = [float(e["val_loss"]) for e in history(out / f"trials/{number:04d}")]
        assert row["val_loss"] == min(losses) and row["epoch"] == np.argmin(losses) + 1
    best = int(table["trial"][0])
    assert (out / "best.toml").read_bytes() == (out / f"trials/{best:04d}/run.toml").read_bytes()
    assert (out / "figures/parallel_coordinates.png").stat().st_size > 10000


def test_shards_are_cut_once(place):
    trials = sorted((place / "out/trials").iterdir())
    shared = {(trial / "shards").resolve() for trial in trials}
    assert len(trials) == 3 and len(shared) == 1
    assert not any((trial / "backup").exists() for trial in trials)
    assert len(list((place / "out").rglob("shard-*.fits"))) == 1


def test_a_trial_run_alone_gives_the_same_history(place, tmp_path):
    trial = place / "out/trials/0002"
    astrocnn("train", trial / "run.toml", "--out", tmp_path / "alone")
    assert history(tmp_path / "alone") == history(trial)


def test_what_was_interrupted_goes_on_to_the_same_table(place, again):
    """As after kill -9: one trial between model and outcome, one after its first epoch."""
    (again / "trials/0000/outcome.json").unlink()
    for name in ("outcome.json", "model", "history.csv"):
        path = again / "trials/0001" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (again / "trials.ecsv").unlink()

    class Killed(BaseException):
        pass

    def kill(history):
        raise Killed

    trial = again / "trials/0001"
    with pytest.raises(Killed):
        list(train.run(load_run(trial / "run.toml"), trial, cut=False, callbacks=[kill]))
    assert len(history(trial)) == 1 and (trial / "backup/state.npz").is_file()
    astrocnn("search", place / "run.toml", "--out", again)
    assert settled(again) == settled(place / "out")
    assert not (trial / "backup").exists()


@pytest.mark.slow
def test_another_process_gives_the_same_trial(place, again):
    shutil.rmtree(again / "trials/0002")
    config = load_run(place / "run.toml")
    folder = SearchFolder(again, config)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        done = [trial.number for trial in in_workers(folder, pool)]
    assert done == [2] and [one.state for one in read_results(folder)] == ["complete"] * 3
    assert history(again / "trials/0002") == history(place / "out/trials/0002")


def test_processes_share_the_trials_among_them(place, tmp_path, quick):
    config = load_run(place / "run.toml", ["search.trials=7"])
    folder = SearchFolder(tmp_path / "two", config)
    folder.create()
    first, second = work(folder), work(folder)
    done = [[next(first).number, next(first).number], [next(second).number]]
    with folder.trial(4).claimed():
        done[0] += [trial.number for trial in first]
    done[1] += [trial.number for trial in second]
    assert done == [[0, 1, 3, 5, 6], [2, 4]]
    found = {one.trial.number: one.values for one in read_results(folder)}
    assert found == {k: random_values(config.search.space, 5, k) for k in range(7)}


def test_more_trials_are_added_to_those_there_and_another_search_is_refused(place, again, quick):
    before = (again / "trials/0001/history.csv").stat().st_mtime_ns
    said = astrocnn("search", place / "run.toml", "--out", again, "--set", "search.trials=5")
    assert "3 of 5 trials are there already" in said
    assert (again / "trials/0001/history.csv").stat().st_mtime_ns == before
    assert len(Table.read(again / "trials.ecsv")) == 5
    other = ("--set", "training.epochs=3", "--set", "search.seed=6")
    said = words(astrocnn("search", place / "run.toml", "--out", again, *other, code=2))
    assert "another search" in said and "search.seed, training.epochs" in said


def test_the_objective_may_be_another_column(place):
    config = load_run(place / "run.toml", ["search.objective=val_morphology_accuracy"])
    found = read_results(SearchFolder(place / "out", config))
    values = [one.objective for one in found]
    assert values == sorted(values, reverse=True) and max(values) <= 1
    for one in found:  # of the network that is kept
        losses = one.trial.history()["val_loss"]
        assert losses[one.epoch - 1] == min(losses)
        assert one.trial.history()["val_morphology_accuracy"][one.epoch - 1] == one.objective


def test_a_trial_of_another_process_is_left_to_it_and_one_that_failed_is_told(place, again, quick):
    (again / "trials/0000/outcome.json").unlink()
    shutil.rmtree(again / "trials/0002")
    config = load_run(place / "run.toml")
    folder = SearchFolder(again, config)
    folder.trial(2).make({LR: 0.9, BATCH: 40, ACTIVATION: "relu"}, folder.build_config({LR: 0.9}))
    with folder.trial(0).claimed() as mine:
        assert mine
        said = words(astrocnn("search", place / "run.toml", "--out", again))
    assert "trial 2 failed: The loss is not a number." in said
    assert "1 complete, 1 failed, 1 unfinished" in said
    table = Table.read(again / "trials.ecsv")
    assert list(table["trial"]) == [1, 2, 0] and np.isnan(table["val_loss"][1])


def test_when_all_fail_the_reason_is_told(place, tmp_path, quick):
    wild = "search.space.training.learning_rate={ low = 0.6, high = 3 }"
    arguments = (place / "run.toml", "--out", tmp_path / "x", "--set", wild)
    said = words(astrocnn("search", *arguments, code=2))
    assert "Not one of the trials could be trained" in said and "not a number" in said


def test_inputs_may_vary_and_have_their_own_shards(place, tmp_path, quick):
    space = "{ inputs = { scalars = { choices = [['a'], ['a', 'b']] } } }"
    how = ("--set", f"search.space={space}", "--set", "search.sampler=grid")
    said = words(astrocnn("search", place / "run.toml", "--out", tmp_path / "x", *how))
    assert "2 complete" in said
    assert len(list((tmp_path / "x").rglob("shard-*.fits"))) == 2


# ---- what cannot be


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"low": 2, "high": 1}, "2 is not below 1"),
        ({"low": 0, "high": 1, "scale": "log"}, "begins above 0"),
        ({"low": 1.5, "high": 3, "integer": True}, "whole ends"),
        ({"low": 1}, "give low and high"),
        ({"choices": []}, "choices are empty"),
        ({"choices": [1, 2, 1]}, "given twice"),
        ({"choices": [1], "low": 0}, "without low"),
    ],
)
def test_ranges_that_make_no_sense(values, said):
    with pytest.raises(ValidationError, match=said):
        Range(**values)


def test_all_mistakes_of_the_run_file_are_told_at_once():
    wrong = {
        "catalog": {"file": "x"},
        "inputs": {"scalars": ["a"]},
        "task": {"name": "morphology"},
        "search": {
            "sampler": "gird",
            "trials": 0,
            "space": {
                "trainng.epochs": {"low": 1, "high": 2},
                "training": {"lerning_rate": {"low": 2, "high": 1}},
                "model.options.widht": {"choices": [1]},
                "split.seed": {"low": 1, "high": 2},
                "training.epochs": {"lo": 1, "high": 2},
            },
        },
    }
    with pytest.raises(ConfigError) as caught:
        parse_run(wrong)
    message = str(caught.value)
    for said in (
        "7 mistakes",
        "did you mean 'grid'",
        "search.trials",
        "did you mean 'training'",
        "did you mean 'learning_rate'",
        "2 is not below 1",
        "did you mean 'width'",
        "'split' is the same in all trials",
        "did you mean 'low'",
    ):
        assert said in message


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            [
                "search.sampler=grid",
                "search.space.training.batch_size.points=20",
                "search.space.training.learning_rate.points=30",
                "search.trials=600",
                "search.startup=3",
            ],
            ["1,200 points (30 x 20 x 2), and 600 are allowed", "startup is for"],
        ),
        (["search.prune_after=3"], ["of no use without pruning"]),
        (["search.space.training.learning_rate.points=3"], ["points are for a grid"]),
        (
            ["search={trials=20, space={seed={choices=[1, 2]}}}"],
            ["only 2 points, and there are 20 trials"],
        ),
        (["search.space={}"], ["space is empty"]),
        (
            [
                "search.objective=val_acuracy",
                "model.members=2",
                "search.space.training.patience={low=-5, high=3, integer=true}",
                "search.space.model.architecture={choices=['ann', 'anne']}",
                "search.space.model.options.pooling={choices=['max', 'avrage']}",
                "search.space.training.schedule={choices=['cosinus', 'step']}",
            ],
            [
                "6 things",
                "did you mean 'cosine'",
                "did you mean 'val_morphology_accuracy'",
                "several members",
                "training.patience = -5",
                "did you mean 'ann'",
                "did you mean 'average'",
            ],
        ),
        (
            [
                "search.sampler=grid",
                "search.trials=100",
                "search.space.model.options.activation={choices=['relu', 'maxout']}",
                "search.space.model.options.width={choices=[0.05, 0.051]}",
            ],
            ["One thing", "activation = 'maxout'", "in pairs"],
        ),
        (["task.column=kid"], ["all trials", "did you mean 'kind'"]),
        (["model={method='knn'}"], ["'knn' has none"]),
        (["model.classical={svm={}}"], ["with one network"]),
        (
            ["search.space.model.classical={choices=[{}, {svm={}}]}"],
            ["model.classical cannot be varied"],
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_work(place, tmp_path, overrides, said):
    how = itertools.chain.from_iterable(("--set", one) for one in overrides)
    found = words(astrocnn("search", place / "run.toml", "--out", tmp_path / "x", *how, code=2))
    assert not [s for s in said if s not in found], found
    assert not (tmp_path / "x").exists()


def test_a_run_without_a_search(place, tmp_path):
    plain = place / "plain.toml"
    plain.write_text(RUN.partition("[search]")[0])
    assert "does not say what to vary" in astrocnn("search", plain, "--out", tmp_path, code=2)


def test_the_directory_of_a_run_is_not_taken(place, tmp_path):
    RunDirectory.create(tmp_path / "run", load_run(place / "run.toml"))
    said = astrocnn("search", place / "run.toml", "--out", tmp_path / "run", code=2)
    assert "directory of a single run" in words(said)


# ---- Optuna


def test_without_optuna_it_is_named(place, tmp_path, monkeypatch):
    config = load_run(place / "run.toml", ["search.sampler=tpe", "search.trials=12"])
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependency, match="optuna"):
        list(search(config, tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_parzen_trials_begin_at_random_learn_and_bad_ones_are_stopped(place, tmp_path, quick):
    optuna = pytest.importorskip("optuna", reason="needs the extra search")
    sets = ("sampler=tpe", "trials=18", "startup=7", "pruning=true", "prune_after=1")
    how = [*(f"search.{one}" for one in sets), "training.epochs=3"]
    arguments = [place / "run.toml", "--out", tmp_path / "tpe"]
    arguments += itertools.chain.from_iterable(("--set", one) for one in how)
    astrocnn("search", *arguments)

    table = Table.read(tmp_path / "tpe/trials.ecsv")
    table.sort("trial")
    space = load_run(place / "run.toml").search.space
    drawn = [{name: row[name] for name in space} for row in table]
    at_random = [random_values(space, 5, k) for k in range(18)]
    assert drawn[:7] == at_random[:7]
    assert not any(a == b for a, b in zip(drawn[7:], at_random[7:], strict=True))
    # The lowest loss is at a rate of 1e-2.
    away = np.abs(np.log10([[d[LR] for d in drawn[7:]], [d[LR] for d in at_random[7:]]]) + 2)
    assert np.median(away[0]) < 0.7 * np.median(away[1])
    # Stopped are those worse than the median of the complete ones, when there were four.
    final = (np.log10(table[LR]) + 2) ** 2
    complete: list[float] = []
    for trial, state in zip(table["trial"], table["state"], strict=True):
        worse = len(complete) >= 4 and final[trial] > np.median(complete)
        assert state == ("pruned" if worse else "complete")
        if not worse:
            complete.append(final[trial])
    assert set(table["epochs"][table["state"] == "pruned"]) == {1}

    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "tpe/optuna.log"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name=None, storage=storage)
    assert study.best_value == table["val_loss"].min() and len(study.trials) == 18

    # What was interrupted goes on as it would have.
    whole = settled(tmp_path / "tpe")
    for number in range(15, 18):
        shutil.rmtree(tmp_path / f"tpe/trials/{number:04d}")
    astrocnn("search", *arguments)
    assert settled(tmp_path / "tpe") == whole


# ---- the figure


def test_parallel_coordinates_have_an_axis_for_each_value():
    values = {
        "training.learning_rate": [1e-4, 1e-3, 1e-1],
        "augmentation.d4": [True, False, "rotations"],
        "model.options": [{"width": 1}, {"width": 2}, {"width": 1}],
    }
    figure = figures.plot_parallel_coordinates(
        values,
        [0.5, 0.2, 0.1],
        objective_name="val_loss",
        log=["training.learning_rate"],
        limits={"training.learning_rate": (1e-4, 1e-1)},
        incomplete=[False, False, True],
    )
    (axes,) = figure.axes
    runs = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(runs) == 3
    heights = sorted(line.get_ydata()[0] for line in runs)
    np.testing.assert_allclose(heights, [0, 1 / 3, 1])
    ends = sorted(line.get_ydata()[-1] for line in runs)
    np.testing.assert_allclose(ends, [0, 0.25, 1])
    best = max(runs, key=lambda line: line.get_linewidth())
    assert best.get_ydata()[-1] == pytest.approx(0.25)  # the lowest of those that were finished
    said = {text.get_text() for text in axes.texts}
    assert {"0.0001", "0.1", "learning\nrate", "true", "rotations", '{"width": 1}'} <= said
    assert "dashed lines: not finished" in said

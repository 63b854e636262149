"""A second training with pseudo-labels for objects of the training split that have no label."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import datasets
from astrocnn.atomic import write_text
from astrocnn.calibration import Temperature
from astrocnn.errors import PredictionError
from astrocnn.estimators import Estimator
from astrocnn.metrics import wilson
from astrocnn.runs.run import Rows, Run
from astrocnn.targets import ClassFamily, Target
from astrocnn.training import PseudoLabels, select_pseudo_labels

__all__ = ["train_again"]

_BLOCK = 1024
"""Objects whose draws are in memory at a time."""


def train_again(
    current: Run,
    teacher: Estimator,
    rows: dict[str, Rows],
    fit: Callable[..., Estimator],
    *,
    write: bool = True,
) -> Generator[str, None, Estimator]:
    """Select pseudo-labels by a trained estimator, and train another one with them.

    Only objects of the training split get pseudo-labels; the temperature of their probabilities is
    fitted on the validation split.  ``pseudo_labels.csv`` of the run directory lists them.

    Parameters
    ----------
    current : Run
    teacher : Estimator
        Trained on the labelled objects.
    rows : dict of str to ndarray
        Labelled rows by split.
    fit : callable
        Trains a new estimator on rows with the given `labels`.
    write : bool
        Whether this process writes files.

    Returns
    -------
    Estimator
        The new estimator, or `teacher` if no object was selected.
    """
    shards, least = current.shards, current.config.training.pseudo_labels
    assert least is not None
    encoded, weights = (dict(x) for x in datasets.read_labels(shards, current.task))
    usable = current.find_training_rows()
    added: list[Rows] = []
    lines: list[tuple[Any, ...]] = []
    for target in current.task.targets:
        if not isinstance(target.family, ClassFamily):
            continue
        name = target.name
        pool = usable[weights[name][usable] == 0]
        labelled = rows["train"][weights[name][rows["train"]] > 0]
        if not len(pool) or not len(labelled):
            yield f"pseudo-labels of {name}: there is no object without a label"
            continue
        predict, note = _calibrate(current, teacher, target, rows["validation"])
        shares = _to_probabilities(target, encoded[name][labelled]).sum(axis=0)
        found = select_pseudo_labels(*predict(pool), least=least, shares=shares)
        chosen = pool[found.chosen]
        encoded[name], weights[name] = encoded[name].copy(), weights[name].copy()
        encoded[name][chosen] = _encode(target, found.classes)
        weights[name][chosen] = found.probability
        added.append(chosen)
        lines += _list(shards.ids[chosen], target, found)
        yield _describe(target, found, len(pool)) + note
        yield _measure_purity(target, predict, rows["validation"], encoded, weights, least)
    if write:
        _write(current, lines)
    train = np.union1d(rows["train"], np.concatenate([np.empty(0, np.int64), *added]))
    if len(train) == len(rows["train"]):
        yield "pseudo-labels: none was selected, and the first training is kept"
        return teacher
    return fit(train, labels=(encoded, weights))


Predict = Callable[[Rows], "tuple[NDArray[np.float64], NDArray[np.float64]]"]


def _calibrate(
    current: Run, teacher: Estimator, target: Target, validation: Rows
) -> tuple[Predict, str]:
    """What predicts mean and standard deviation of calibrated probabilities of some rows."""
    encoded, weights = datasets.read_labels(current.shards, current.task, validation)
    name, family = target.name, target.family
    assert isinstance(family, ClassFamily)
    samples = current.sample(validation, teacher)[name]
    try:
        remap, note = Temperature.fit(family, encoded[name], weights[name], samples), ""
    except PredictionError:
        remap = Temperature(1.0)
        note = "; the validation split has too few labels to calibrate their probabilities"

    def predict(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        parts = []
        for start in range(0, len(rows), _BLOCK):
            draws = current.sample(rows[start : start + _BLOCK], teacher)[name]
            p = np.asarray(family.to_probabilities(remap.apply(family, draws)), np.float64)
            parts.append((p.mean(axis=0), p.std(axis=0)))
        mean, std = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, std

    return predict, note


def _to_probabilities(target: Target, encoded: NDArray[np.floating]) -> NDArray[np.floating]:
    """One-hot labels, of both classes for a yes/no question."""
    return np.concatenate([1 - encoded, encoded], axis=1) if encoded.shape[1] == 1 else encoded


def _encode(target: Target, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    units = int(target.family.units)
    if units == 1:
        return classes[:, None].astype(np.float32)
    return np.eye(units, dtype=np.float32)[classes]


def _describe(target: Target, found: PseudoLabels, n: int) -> str:
    names = target.family.classes  # type: ignore[attr-defined]
    counts = np.bincount(found.classes, minlength=len(names))
    by_class = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    return f"pseudo-labels of {target.name}: {len(found)} of {n} objects ({by_class})"


def _measure_purity(
    target: Target, predict: Predict, validation: Rows, encoded: Any, weights: Any, least: float
) -> str:
    """The fraction of correct ones among validation objects that pass the same thresholds."""
    name = target.name
    known = validation[weights[name][validation] > 0]
    passed = select_pseudo_labels(*predict(known), least=least)
    if not len(passed):
        return (
            f"no labelled validation object would be selected for {name}: their purity is unknown"
        )
    truth = _to_probabilities(target, encoded[name][known]).argmax(axis=1)
    correct = int((truth[passed.chosen] == passed.classes).sum())
    low, high = wilson(correct, len(passed))
    interval = f"[{100 * float(low):.1f}, {100 * float(high):.1f}]"
    return (
        f"purity of {name} by the same thresholds on validation objects: "
        f"{correct / len(passed):.1%} {interval} of {len(passed)}"
    )


def _list(ids: Any, target: Target, found: PseudoLabels) -> list[tuple[Any, ...]]:
    names = target.family.classes  # type: ignore[attr-defined]
    return [
        (id, target.name, names[k], f"{p:.6g}", f"{std:.6g}")
        for id, k, p, std in zip(ids, found.classes, found.probability, found.std, strict=True)
    ]


def _write(current: Run, lines: list[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "target", "label", "probability", "std"))
    writer.writerows(lines)
    write_text(current.directory.path / "pseudo_labels.csv", text.getvalue())

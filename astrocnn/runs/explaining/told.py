"""What is known of rows of a run: predictions and labels, in numbers and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.datasets import Shards, read_labels
from astrocnn.evaluation import read_scores
from astrocnn.runs.config import RunConfig
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.explaining.objects import Predicted
from astrocnn.targets import ClassFamily

if TYPE_CHECKING:
    from astrocnn.estimators import Estimator

__all__ = ["Told"]


class Told:
    """Predictions and labels of any rows.

    Parameters
    ----------
    home : RunDirectory
        Where draws on the test split are, if it was evaluated.
    config : RunConfig
        Says with how many draws.
    estimator : Estimator
        As the run predicts, calibrated if it is.
    shards : Shards
        The cutouts of the run.
    """

    def __init__(
        self, home: RunDirectory, config: RunConfig, estimator: Estimator, shards: Shards
    ) -> None:
        self.home, self.config = home, config
        self.estimator, self.shards = estimator, shards
        self._kept = self._evaluated()

    def predictions(self, target: str, rows: Any) -> Predicted:
        """What the run predicts of some rows about a target."""
        return Predicted(self.estimator.task, target, self.samples(np.asarray(rows)))

    def samples(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Activated parameters of some rows; those that were kept are not computed again."""
        if self._kept is not None:
            known, values = self._kept
            place = np.searchsorted(known, rows)
            if len(known) and np.array_equal(known[np.minimum(place, len(known) - 1)], rows):
                return {name: v[:, place] for name, v in values.items()}
        names = self.estimator.inputs.scalars
        return self.estimator.sample(
            self.shards.images(rows),
            self.shards.scalars(names)[rows] if names else None,
            draws=self.config.prediction.draws,
            seed=self.config.seed,
            views=self.config.prediction.views,
        )

    def label(self, target: str, rows: Any) -> list[str]:
        """The label of each row in words, empty where there is none."""
        encoded, known = self._labels(target, rows)
        family: Any = self.estimator.task.target(target).family
        if isinstance(family, ClassFamily):
            best = np.argmax(family.to_truth(encoded), axis=1)
            words = [family.classes[k] for k in best]
        else:
            words = [f"{value:.3g}" for value in family.to_values(encoded)]
        return [word if k else "" for word, k in zip(words, known, strict=True)]

    def colors(self, target: str, rows: Any, found: Predicted) -> dict[str, Any]:
        """By what points may be colored: label, prediction, uncertainty, and a column.

        The column is the first that the evaluation goes by, such as a magnitude.
        """
        encoded, known = self._labels(target, rows)
        family: Any = self.estimator.task.target(target).family
        if isinstance(family, ClassFamily):
            made: dict[str, Any] = {f"label of {target}": np.array(self.label(target, rows))}
        else:
            made = {
                f"label of {target}": np.where(known, family.to_values(encoded), np.nan),
                f"predicted {target}": found.value,
            }
        made[f"{found.measure} of {target}"] = found.uncertainty
        section = self.config.evaluation
        for name in (section.cut, *section.by):
            if name in self.shards.catalog.table.colnames:
                values, missing = self.shards.column(name)
                made[name] = np.where(missing, np.nan, values)[np.asarray(rows)]
                break
        return made

    def _labels(self, target: str, rows: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        encoded, weights = read_labels(self.shards, self.estimator.task, np.asarray(rows))
        return encoded[target], weights[target] > 0

    def _evaluated(self) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]] | None:
        """Rows and draws of the last evaluation, if it was of this very model."""
        path = self.home.evaluation / "samples.npz"
        if not (path.is_file() and self.home.scores.is_file()):
            return None
        with self.home.reading(self.home.scores, "evaluate") as scores:
            about = read_scores(scores)[2]
        if about.get("model") != self.estimator.fingerprint:
            return None
        return self.home.kept_draws(self.estimator.task.names)

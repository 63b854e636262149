"""Collapse: projections that no longer depend on the image, measured while a network is trained.

References
----------
Jing et al. 2022, ICLR (arXiv:2110.09348): complete and dimensional collapse.
Garrido et al. 2023, ICML (arXiv:2210.02885): the effective rank follows the later accuracy.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, tf
from astrocnn.errors import AstrocnnWarning
from astrocnn.metrics.embedding import (
    compute_effective_rank,
    compute_neighbor_accuracy,
    compute_relative_std,
)
from astrocnn.models.layer_access import layer_input

__all__ = ["LEAST_RANK", "LEAST_STD", "CollapseWatch", "find_collapse"]

LEAST_STD = 0.1
"""Relative standard deviation of the projections below which they have collapsed."""

LEAST_RANK = 2.0
"""Effective rank of the features below which they have collapsed."""

_BLOCK = 64


class CollapseWatch:
    """Measures projections and features of some objects, without augmentation, after each epoch.

    Columns of the history: ``projection_std`` and ``effective_rank`` (see
    `astrocnn.metrics.compute_relative_std` and `compute_effective_rank`; the rank is that of the
    features, which are kept), and ``neighbor_accuracy`` where there are labels: the fraction of
    validation objects whose class is that of most of their nearest labelled training objects.  A
    warning tells of a collapse once.

    Parameters
    ----------
    inputs : dict of str to ndarray
        Inputs of the network for some training objects, as its data set gives them.
    head : str
        Name of the first layer of the projector.
    labels : ndarray of int, shape (n,), optional
        Classes of these objects, -1 where there is no label.
    queries : dict of str to ndarray, optional
        Inputs for labelled validation objects.
    truth : ndarray of int, optional
        Their classes.
    """

    def __init__(
        self,
        inputs: Mapping[str, NDArray[Any]],
        head: str,
        labels: NDArray[np.integer] | None = None,
        queries: Mapping[str, NDArray[Any]] | None = None,
        truth: NDArray[np.integer] | None = None,
    ) -> None:
        self._inputs, self._head, self._labels = inputs, head, labels
        self._queries, self._truth = queries, truth
        self._steps: dict[int, Any] = {}
        self._warned = False

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """Measure the network; returns the columns of one epoch."""
        features, projections = self._compute(model, self._inputs)
        row = {
            "projection_std": compute_relative_std(projections),
            "effective_rank": compute_effective_rank(features),
        }
        if self._labels is not None and self._queries is not None and self._truth is not None:
            labelled = self._labels >= 0
            found, _ = self._compute(model, self._queries)
            row["neighbor_accuracy"] = compute_neighbor_accuracy(
                features[labelled], self._labels[labelled], found, self._truth
            )
        sentence = find_collapse(row)
        if sentence is not None and not self._warned:
            self._warned = True
            warnings.warn(sentence, AstrocnnWarning, stacklevel=2)
        return row

    def _compute(
        self, model: keras.Model, inputs: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if id(model) not in self._steps:
            (projection,) = model.outputs
            both = keras.Model(model.input, [layer_input(model, self._head), projection])
            self._steps[id(model)] = tf.function(
                lambda x: both(x, training=False), autograph=False, reduce_retracing=True
            )
        n = len(next(iter(inputs.values())))
        parts = [
            [
                np.asarray(value, np.float32)
                for value in self._steps[id(model)](
                    {name: tf.constant(x[start : start + _BLOCK]) for name, x in inputs.items()}
                )
            ]
            for start in range(0, n, _BLOCK)
        ]
        features, projections = (np.concatenate(part) for part in zip(*parts, strict=True))
        return features, projections


def find_collapse(row: Mapping[str, float]) -> str | None:
    """A sentence, with what to try, if the measures of an epoch are those of a collapse."""
    std, rank = row["projection_std"], row["effective_rank"]
    if std < LEAST_STD:
        found = (
            f"The projections have collapsed: their relative standard deviation is {std:.2g} "
            f"(1 for independent ones, less than {LEAST_STD:g} for a collapse)"
        )
    elif rank < LEAST_RANK:
        found = (
            f"The features have collapsed: their effective rank is {rank:.2g} "
            f"(less than {LEAST_RANK:g} for a collapse)"
        )
    else:
        return None
    return (
        f"{found}. What the network learned is of no use for other tasks. Try the other method "
        "(pretraining.method), a lower pretraining.learning_rate, a larger pretraining.batch_size, "
        "or weaker [pretraining.augmentation]."
    )

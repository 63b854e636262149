"""The loss that is minimized, its sums over an epoch, and the weights of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from astrocnn.backend import tf
from astrocnn.errors import TrainingError

__all__ = [
    "Objective",
    "PerObject",
    "EpochSums",
    "compute_class_weights",
    "build_non_finite_error",
    "mask_labels",
]

PerObject = Callable[[Any, Any], Any]
"""Of (encoded (n, k), raw (n, units)): a value per object, shape (n,)."""


@dataclass(frozen=True)
class Objective:
    """What is minimized and what is watched.

    The loss is the sum over targets of ``loss_weights[t] * sum(w l) / sum(w)``, with both sums
    over the objects of the whole batch on all replicas: an object without a label (w = 0) does
    not dilute it, nor does the way the batch is split.

    Attributes
    ----------
    losses : mapping of target to function
        Loss per object.
    loss_weights : mapping of target to float
        1 where a target is not named.
    class_weights : mapping of target to ndarray of shape (k,) or (2,)
        See `compute_class_weights`; used in training, not in evaluation.
    metrics : mapping of target to mapping of name to function
        Further values per object, averaged with the object weights.
    auxiliary : mapping of output to target
        Outputs beside that of a target that are trained on its labels with its loss and a loss
        weight of their own, and are not validated.
    """

    losses: Mapping[str, PerObject]
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    class_weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, PerObject]] = field(default_factory=dict)
    auxiliary: Mapping[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(self.losses)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that are trained: the targets, then the auxiliary ones."""
        return (*self.losses, *self.auxiliary)

    @property
    def without_auxiliary(self) -> Objective:
        """The same without auxiliary outputs."""
        return replace(self, auxiliary={})

    def check(self, outputs: Iterable[str]) -> None:
        """Raise `TrainingError` for targets without output, or weights and metrics without loss."""
        outputs = tuple(outputs)
        for what, names, known in (
            ("loss", self.losses, outputs),
            ("loss weight", self.loss_weights, self.outputs),
            ("auxiliary loss", self.auxiliary, outputs),
            ("auxiliary loss", self.auxiliary.values(), self.targets),
            ("class weights", self.class_weights, self.targets),
            ("metrics", self.metrics, self.targets),
        ):
            unknown = sorted(set(names) - set(known))
            if unknown or not self.losses:
                raise TrainingError(
                    f"There is {what} for targets that the network does not predict.",
                    received=unknown or "no loss at all",
                    allowed=known or "a network whose outputs are a dict of target to tensor",
                )

    def columns(self) -> list[tuple[str, str]]:
        """(target, quantity) of each element of the sums."""
        pairs = [(output, "loss") for output in self.outputs]
        return pairs + [(t, m) for t in self.targets for m in self.metrics.get(t, {})]

    def sums(self, y: Any, weights: Any, raw: Any, training: bool) -> tuple[list[Any], list[Any]]:
        """Weighted sums over the local batch: of each column, and of the weights per output."""
        totals, values = [], {}
        for name in self.outputs:
            target = self.auxiliary.get(name, name)
            weight, encoded = mask_labels(y, weights, target)
            if training and target in self.class_weights:
                # Only in training: scores of validation must not depend on the balance of classes.
                weight *= _object_weights(encoded, self.class_weights[target])
            # Losses are computed in float32, whatever the precision of the network.
            output = tf.cast(raw[name], tf.float32)
            values[name, "loss"] = tf.reduce_sum(weight * self.losses[target](encoded, output))
            for quantity, metric in self.metrics.get(name, {}).items():
                value = tf.cast(metric(encoded, output), tf.float32)
                values[name, quantity] = tf.reduce_sum(weight * value)
            totals.append(tf.reduce_sum(weight))
        return [values[column] for column in self.columns()], totals


def mask_labels(y: Any, weights: Any, target: str) -> tuple[Any, Any]:
    """Object weights (n,) and encoded labels (n, k), which are 0 where the weight is."""
    weight = tf.cast(tf.reshape(weights[target], [-1]), tf.float32)
    # A missing label may be encoded as NaN, and 0 times NaN is NaN.
    return weight, tf.where(weight[:, None] > 0, y[target], tf.zeros_like(y[target]))


def _object_weights(encoded: Any, per_class: np.ndarray) -> Any:
    per_class = tf.constant(per_class, tf.float32)
    if encoded.shape[-1] == 1:
        encoded = tf.concat([1.0 - encoded, encoded], axis=1)
    return tf.linalg.matvec(encoded, per_class)


class EpochSums:
    """Sums over an epoch, in double precision, fetched from the device a few at a time.

    `vector` is the result of a single step, to begin with.
    """

    def __init__(self, objective: Objective, vector: Any = None) -> None:
        self.objective = objective
        self.columns = objective.columns()
        self.total = np.zeros(len(self.columns) + len(objective.outputs) + 3)
        self.steps = 0
        self.pending: list[Any] = []
        if vector is not None:
            self.total, self.steps = self.total + np.asarray(vector), 1

    def add(self, vector: Any) -> None:
        """Append the result of one step without waiting for the device."""
        self.pending.append(vector)

    def fetch(self) -> tuple[int, np.ndarray] | None:
        """Add what is pending; step (from 0) and vector of the first batch that is not finite."""
        # In double precision on the host: float32 sums over 10^5 batches lose digits.
        vectors, self.pending = [np.asarray(v) for v in self.pending], []
        for vector in vectors:
            # The first bad batch is named, not the last: later ones are bad because of it.
            if not np.isfinite(vector).all() or vector[-2:].any():
                return self.steps, vector
            self.total += vector
            self.steps += 1
        return None

    @property
    def labelled(self) -> float:
        """Sum of the weights of all objects and targets."""
        n = len(self.columns)
        return float(self.total[n : n + len(self.objective.outputs)].sum())

    def compute_means(self, prefix: str = "") -> dict[str, float]:
        """Averages over the epoch, by column of the history; "loss" is NaN without any label."""
        n, targets = len(self.columns), self.objective.outputs
        norms = dict(zip(targets, self.total[n : n + len(targets)], strict=True))
        with np.errstate(invalid="ignore"):
            mean = {
                (target, name): float(np.divide(value, norms[target]))
                for (target, name), value in zip(self.columns, self.total[:n], strict=True)
            }
        row = {f"{prefix}loss": float(self.total[-3] / max(1, self.steps))}
        for target in targets:
            importance = self.objective.loss_weights.get(target, 1.0)
            # A target without any label in this split must not make the whole loss NaN.
            if norms[target] > 0 or len(targets) == 1:
                row[f"{prefix}loss"] += importance * mean[target, "loss"]
        for (target, name), value in mean.items():
            if name != "loss":
                row[f"{prefix}{target}_{name}"] = value
            elif len(targets) > 1:
                row[f"{prefix}{target}_loss"] = value
        return row


def compute_class_weights(
    encoded: np.ndarray, weight: np.ndarray | None = None, beta: float = 1.0
) -> np.ndarray:
    """Weight of each class such that rare classes count as much as common ones.

    With ``n_c`` the summed object weights of class c, the weight of the class is proportional to
    ``(1 - beta) / (1 - beta**n_c)``, which is ``1 / n_c`` at beta = 1 (all classes balanced) and
    equal for all classes at beta = 0.  The mean over the objects is 1, so that the learning rate
    keeps its meaning.

    Parameters
    ----------
    encoded : ndarray of shape (n, k)
        One-hot labels, or fractions of votes; a single column means the probability of "yes".
    weight : ndarray of shape (n,), optional
        Weight of each object; 0 where the label is missing.
    beta : float
        From 0 (no balancing) to 1 (full balancing); 0.99 to 0.9999 in practice.

    Returns
    -------
    ndarray of shape (k,), or (2,) for a single column: "no" and "yes"
        A class without any object has weight 0.

    Raises
    ------
    TrainingError
        If no object has a label, or beta is not within 0 and 1.

    References
    ----------
    Cui et al. 2019 (arXiv:1901.05555), equation 2: the effective number of samples.

    Examples
    --------
    >>> compute_class_weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]]))
    array([0.66666667, 2.        ])
    """
    encoded = np.asarray(encoded, dtype=float)
    if encoded.shape[1] == 1:
        encoded = np.concatenate([1.0 - encoded, encoded], axis=1)
    if not 0 <= beta <= 1:
        raise TrainingError("beta is out of range.", received=beta, allowed="0 to 1")
    weight = np.ones(len(encoded)) if weight is None else np.asarray(weight, dtype=float)
    labelled = weight > 0
    counts = (encoded[labelled] * weight[labelled, None]).sum(axis=0)
    if not counts.sum() > 0:
        raise TrainingError("No object has a label, so the classes cannot be weighted.")
    # A class without objects has no weight, rather than an infinite one.
    present = counts > 0
    effective = counts[present] if beta == 1 else (1 - beta ** counts[present]) / (1 - beta)
    result = np.zeros(len(counts))
    result[present] = 1.0 / effective
    # Mean weight 1 per object, so that the best learning rate does not change.
    return result * counts.sum() / (result * counts).sum()


def build_non_finite_error(
    vector: np.ndarray, stage: str, epoch: int, batch: int, learning_rate: float, precision: str
) -> TrainingError:
    """The error for a batch (from 1) whose loss or inputs are not finite, with the likely cause.

    The last two numbers of `vector`, the result of a step, count the pixels or scalars and the
    encoded labels that are not finite.
    """
    # Inputs first: a bad pixel makes the loss NaN as well.
    inputs, encoded = (float(count) for count in vector[-2:])
    if inputs > 0:
        cause = f"{inputs:.0f} input values of this batch are NaN or infinite"
        hint = (
            "normalize the images (Normalization.apply fills pixels without data); look for "
            "infinite pixels and for missing scalars"
        )
    elif encoded > 0:
        cause = f"{encoded:.0f} label values of this batch are NaN or infinite"
        hint = "give objects without a label the weight 0"
    else:
        cause = "the inputs and labels are finite but the loss is not, so the weights have diverged"
        hint = f"a lower learning rate (it was {learning_rate:.3g}), a warm-up, or clip_norm = 1"
        if precision == "bfloat16":
            hint += ", or precision float32"
    return TrainingError(
        f"The {stage} loss is not finite in epoch {epoch}, batch {batch}: {cause}.",
        hint=hint,
    )

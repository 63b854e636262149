"""One update, one evaluation and the prediction of a network, on any number of replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.models import with_precision
from astrocnn.training.objective import Objective, mask_labels
from astrocnn.training.strategies import distribute_batches, get_strategy

__all__ = ["build_evaluation_step", "build_training_step", "predict"]


def build_training_step(
    model: Any,
    optimizer: Any,
    objective: Objective,
    strategy: tf.distribute.Strategy,
    spec: Any,
    clip_norm: float | None,
) -> Callable[[Any], Any]:
    """A function of one fed batch that updates the weights and returns a vector for `EpochSums`."""
    replicas = strategy.num_replicas_in_sync
    importance = [float(objective.loss_weights.get(name, 1.0)) for name in objective.outputs]

    def on_replica(batch: Any) -> Any:
        x, y, weights = batch
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            raw = model(x, training=True)
            # Sums, not means: a mean per replica would weigh the objects of a ragged batch
            # unequally.
            weighted, totals = objective.sums(y, weights, raw, training=True)
            norms = tf.stack(totals)
            if replicas > 1:
                # The loss is divided by the weights of the whole batch, on whichever replica they
                # are.
                norms = context.all_reduce(tf.distribute.ReduceOp.SUM, norms)
            # Each replica computes the same penalty, and gradients are summed over the replicas.
            penalty = _penalty(model)
            loss = penalty / replicas
            for i, share in enumerate(importance):
                loss += share * tf.math.divide_no_nan(weighted[i], norms[i])
        variables = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, variables)
        # Keras would clip the gradient of each replica by itself.
        if clip_norm is not None:
            gradients = _clipped(gradients, clip_norm, replicas, context)
        optimizer.apply(gradients, model.trainable_variables)
        penalty = penalty / replicas
        return tf.concat([weighted, totals, [penalty], _count_bad_values(batch, objective)], 0)

    return _on_all(on_replica, strategy, spec)


def build_evaluation_step(
    model: Any, objective: Objective, strategy: tf.distribute.Strategy, spec: Any
) -> Callable[[Any], Any]:
    """A function of one fed batch that returns a vector for `EpochSums`; nothing is changed."""

    def on_replica(batch: Any) -> Any:
        x, y, weights = batch
        # Batch normalization uses its running statistics here, and dropout is off.
        raw = model(x, training=False)
        weighted, totals = objective.sums(y, weights, raw, training=False)
        penalty = _penalty(model) / strategy.num_replicas_in_sync
        return tf.concat([weighted, totals, [penalty], _count_bad_values(batch, objective)], 0)

    return _on_all(on_replica, strategy, spec)


def _penalty(model: Any) -> Any:
    # Keras leaves out the penalties of frozen weights: the loss would jump when they are unfrozen.
    frozen = [v.regularizer(v) for v in model.weights if v.regularizer and not v.trainable]
    losses = [*model.losses, *frozen]
    return tf.cast(tf.add_n(losses), tf.float32) if losses else tf.constant(0.0)


def _on_all(on_replica: Any, strategy: tf.distribute.Strategy, spec: Any) -> Callable[[Any], Any]:
    # One signature with an open batch size: the ragged last batch does not trace a second graph.
    @tf.function(input_signature=[spec], autograph=False)
    def step(batch: Any) -> Any:
        result = strategy.run(on_replica, args=(batch,))
        if strategy.num_replicas_in_sync == 1:
            return result
        return strategy.reduce(tf.distribute.ReduceOp.SUM, result, axis=None)

    return step


def _clipped(gradients: Sequence[Any], norm: float, replicas: int, context: Any) -> list[Any]:
    # The norm is that of the whole batch, so the parts are summed first; the optimizer sums
    # over replicas once more, hence the division.
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
    clipped, _ = tf.clip_by_global_norm(gradients, norm)
    return [gradient / replicas for gradient in clipped]


def _count_bad_values(batch: Any, objective: Objective) -> Any:
    # Looked at in each batch, since ReLU and max pooling turn a NaN pixel into a number.
    x, y, weights = batch
    used = [mask_labels(y, weights, target)[1] for target in objective.targets]
    return tf.stack([_count_non_finite(x), _count_non_finite(used)])


def _count_non_finite(structure: Any) -> Any:
    tensors = [t for t in tf.nest.flatten(structure) if t.dtype.is_floating]
    counts = [tf.math.count_nonzero(~tf.math.is_finite(t), dtype=tf.float32) for t in tensors]
    return tf.add_n(counts) if counts else tf.constant(0.0)


def predict(
    model: keras.Model, data: tf.data.Dataset, strategy: str | tf.distribute.Strategy = "auto"
) -> dict[str, np.ndarray]:
    """Deterministic raw output of a network by target, of shape (n, units).

    The order of the rows is that of the data set, whatever the replicas.

    Parameters
    ----------
    model : keras.Model
        A functional model with a dict of outputs.
    data : tf.data.Dataset
        Batches of inputs ``x``, or of tuples whose first element is ``x``.
    strategy : str or tf.distribute.Strategy
        See `get_strategy`.  With several workers, each of them gets the whole result.
    """
    resolved = strategy if isinstance(strategy, tf.distribute.Strategy) else get_strategy(strategy)
    replicas = resolved.num_replicas_in_sync
    if replicas > 1:
        with resolved.scope():
            # Variables must be made inside the scope of the strategy, so the network is copied.
            model = with_precision(model, "float32")

    def numbered(start: Any, batch: Any) -> Any:
        x = batch[0] if isinstance(batch, tuple) else batch
        n = tf.shape(tf.nest.flatten(x)[0])[0]
        # Replicas return rows in no fixed order, so each row carries its number.
        rows = start + tf.range(n, dtype=tf.int64)
        return start + tf.cast(n, tf.int64), (x, {"row": rows}, {"real": tf.ones([n])})

    fed = distribute_batches(data.scan(tf.constant(0, tf.int64), numbered), resolved)

    @tf.function(input_signature=[fed.element_spec], autograph=False)
    def step(batch: Any) -> Any:
        def on_replica(batch: Any) -> Any:
            x, y, weights = batch
            return model(x, training=False) | {_ROW: y["row"], _REAL: weights["real"]}

        return resolved.run(on_replica, args=(batch,))

    def whole(value: Any) -> np.ndarray:
        if resolved.cluster_resolver is not None and replicas > 1:
            value = resolved.gather(value, axis=0)
        return np.concatenate([part.numpy() for part in resolved.experimental_local_results(value)])

    batches = [{name: whole(value) for name, value in step(batch).items()} for batch in fed]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns[_ROW])
    # Rows that only filled up the last batch are left out.
    order = order[columns[_REAL][order] > 0]
    return {name: columns[name][order] for name in columns if name not in (_ROW, _REAL)}


_ROW, _REAL = "/row", "/real"

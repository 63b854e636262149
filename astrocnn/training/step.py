"""One update and one evaluation, the same on any number of replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from astrocnn.backend import tf
from astrocnn.training.objective import Objective, mask_labels

__all__ = ["evaluation_step", "training_step"]


def training_step(
    model: Any,
    optimizer: Any,
    objective: Objective,
    where: tf.distribute.Strategy,
    spec: Any,
    clip_norm: float | None,
) -> Callable[[Any], Any]:
    """A function of one fed batch that updates the weights and returns a vector for `Sums`."""
    replicas = where.num_replicas_in_sync
    importance = [float(objective.loss_weights.get(name, 1.0)) for name in objective.outputs]

    def on_replica(batch: Any) -> Any:
        x, y, weights = batch
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            raw = model(x, training=True)
            weighted, totals = objective.sums(y, weights, raw, training=True)
            norms = tf.stack(totals)
            if replicas > 1:
                norms = context.all_reduce(tf.distribute.ReduceOp.SUM, norms)
            penalty = _penalty(model)
            loss = penalty / replicas
            for i, share in enumerate(importance):
                loss += share * tf.math.divide_no_nan(weighted[i], norms[i])
        variables = [v.value for v in model.trainable_variables]
        gradients = tape.gradient(loss, variables)
        if clip_norm is not None:
            gradients = _clipped(gradients, clip_norm, replicas, context)
        optimizer.apply(gradients, model.trainable_variables)
        penalty = penalty / replicas
        return tf.concat([weighted, totals, [penalty], _trouble(batch, objective)], 0)

    return _on_all(on_replica, where, spec)


def evaluation_step(
    model: Any, objective: Objective, where: tf.distribute.Strategy, spec: Any
) -> Callable[[Any], Any]:
    """A function of one fed batch that returns a vector for `Sums`; nothing is changed."""

    def on_replica(batch: Any) -> Any:
        x, y, weights = batch
        raw = model(x, training=False)
        weighted, totals = objective.sums(y, weights, raw, training=False)
        penalty = _penalty(model) / where.num_replicas_in_sync
        return tf.concat([weighted, totals, [penalty], _trouble(batch, objective)], 0)

    return _on_all(on_replica, where, spec)


def _penalty(model: Any) -> Any:
    # Keras leaves out those of frozen weights, and the loss would jump when they are released.
    frozen = [v.regularizer(v) for v in model.weights if v.regularizer and not v.trainable]
    losses = [*model.losses, *frozen]
    return tf.cast(tf.add_n(losses), tf.float32) if losses else tf.constant(0.0)


def _on_all(on_replica: Any, where: tf.distribute.Strategy, spec: Any) -> Callable[[Any], Any]:
    # One signature with an open batch size: the ragged last batch does not trace a second graph.
    @tf.function(input_signature=[spec], autograph=False)
    def step(batch: Any) -> Any:
        result = where.run(on_replica, args=(batch,))
        if where.num_replicas_in_sync == 1:
            return result
        return where.reduce(tf.distribute.ReduceOp.SUM, result, axis=None)

    return step


def _clipped(gradients: Sequence[Any], norm: float, replicas: int, context: Any) -> list[Any]:
    # The norm is that of the whole batch, so the parts are summed first; the optimizer sums
    # over replicas once more, hence the division.
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
    clipped, _ = tf.clip_by_global_norm(gradients, norm)
    return [gradient / replicas for gradient in clipped]


def _trouble(batch: Any, objective: Objective) -> Any:
    # Looked at in each batch, since ReLU and max pooling turn a NaN pixel into a number.
    x, y, weights = batch
    used = [mask_labels(y, weights, target)[1] for target in objective.targets]
    return tf.stack([_count_non_finite(x), _count_non_finite(used)])


def _count_non_finite(structure: Any) -> Any:
    tensors = [t for t in tf.nest.flatten(structure) if t.dtype.is_floating]
    counts = [tf.math.count_nonzero(~tf.math.is_finite(t), dtype=tf.float32) for t in tensors]
    return tf.add_n(counts) if counts else tf.constant(0.0)

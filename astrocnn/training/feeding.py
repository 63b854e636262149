"""Each batch cut into equal parts for the replicas, in a stated order."""

from __future__ import annotations

from typing import Any

from astrocnn.backend import tf

__all__ = ["feed"]


def feed(data: tf.data.Dataset, where: tf.distribute.Strategy) -> Any:
    """Batches split over the replicas of a strategy.

    Replica r of R receives the rows from ``r m`` to ``(r + 1) m`` of each batch of n rows, with
    ``m = ceil(n / R)``.  Where these exceed n the last row is repeated with weight 0, so that no
    replica is left with an empty batch (on which batch normalization yields NaN) and a ragged
    last batch gives the gradient that one device would give.

    Every worker reads the whole data set and keeps its own part, so the split does not depend on
    how the data are stored.  The batches must be the same in all of them: seed the shuffling.

    Parameters
    ----------
    data : tf.data.Dataset
        Of ``(x, y, weights)``, dicts of tensors whose first axis is the batch.
    where : tf.distribute.Strategy
        The strategy.

    Returns
    -------
    iterable
        With one replica the data set itself, else one that yields values per replica.
    """
    replicas = where.num_replicas_in_sync
    if replicas == 1:
        return data

    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def split(x: Any, y: Any, weights: Any) -> Any:
            n = tf.shape(tf.nest.flatten(x)[0])[0]
            part = (n + replicas - 1) // replicas
            rows = tf.range(part)[None] + part * tf.range(first, first + local)[:, None]
            inside = tf.minimum(rows, n - 1)

            def cut(tensor: tf.Tensor) -> tf.Tensor:
                return tf.gather(tensor, inside)

            def cut_weight(weight: tf.Tensor) -> tf.Tensor:
                return tf.where(rows < n, cut(weight), tf.zeros([], weight.dtype))

            x, y = tf.nest.map_structure(cut, (x, y))
            return x, y, tf.nest.map_structure(cut_weight, weights)

        return data.map(split).unbatch().prefetch(2 * local)

    return where.distribute_datasets_from_function(for_worker)

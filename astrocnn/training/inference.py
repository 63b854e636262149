"""Raw network output for a data set, in its order, on any number of replicas."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.models import with_precision
from astrocnn.training.strategies import distribute_batches
from astrocnn.training.strategies import get_strategy as strategy_of

__all__ = ["predict"]


def predict(
    model: keras.Model, data: tf.data.Dataset, strategy: str | tf.distribute.Strategy = "auto"
) -> dict[str, np.ndarray]:
    """Deterministic raw output of a network.

    Each row travels with its number, and the rows are put in order by it, so the order does not
    depend on how the replicas take turns.

    Parameters
    ----------
    model : keras.Model
        A functional model with a dict of outputs.
    data : tf.data.Dataset
        Batches of inputs ``x``, or of tuples whose first element is ``x``.
    strategy : str or tf.distribute.Strategy
        See `strategy`.  With several workers, each of them gets the whole result.

    Returns
    -------
    dict of str to ndarray of shape (n, units)
        Raw parameters by target.
    """
    where = strategy if isinstance(strategy, tf.distribute.Strategy) else strategy_of(strategy)
    replicas = where.num_replicas_in_sync
    if replicas > 1:
        with where.scope():
            model = with_precision(model, "float32")

    def numbered(start: Any, batch: Any) -> Any:
        x = batch[0] if isinstance(batch, tuple) else batch
        n = tf.shape(tf.nest.flatten(x)[0])[0]
        rows = start + tf.range(n, dtype=tf.int64)
        return start + tf.cast(n, tf.int64), (x, {"row": rows}, {"real": tf.ones([n])})

    fed = distribute_batches(data.scan(tf.constant(0, tf.int64), numbered), where)

    @tf.function(input_signature=[fed.element_spec], autograph=False)
    def step(batch: Any) -> Any:
        def on_replica(batch: Any) -> Any:
            x, y, weights = batch
            return model(x, training=False) | {_ROW: y["row"], _REAL: weights["real"]}

        return where.run(on_replica, args=(batch,))

    def whole(value: Any) -> np.ndarray:
        if where.cluster_resolver is not None and replicas > 1:
            value = where.gather(value, axis=0)
        return np.concatenate([part.numpy() for part in where.experimental_local_results(value)])

    batches = [{name: whole(value) for name, value in step(batch).items()} for batch in fed]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns[_ROW])
    order = order[columns[_REAL][order] > 0]
    return {name: columns[name][order] for name in columns if name not in (_ROW, _REAL)}


_ROW, _REAL = "/row", "/real"

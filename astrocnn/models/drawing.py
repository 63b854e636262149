"""A network that answers with all its draws, as one Keras model.

`Stochastic` is a function; methods that look inside a network want a model with layers and names.
"""

from __future__ import annotations

from typing import Any

from astrocnn.backend import keras, layers, ops
from astrocnn.models.stochastic import Stochastic

__all__ = ["drawing"]


def drawing(model: keras.Model, draws: int, seed: int = 0) -> keras.Model:
    """A model with the inputs of a network, whose answers are draws from it.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, with dropout.  Its weights are shared, not copied.
    draws : int
        Number of draws, at least 1.
    seed : int
        Those of `Stochastic` for the same seed.

    Returns
    -------
    keras.Model
        Functional; its outputs are a dict of shape (n, n_draws, units) by name.  The layers before
        the first dropout keep their names in it, what follows is one layer, "draws".

    Raises
    ------
    ModelError
        If the network has no dropout, or dropout of a kind that has no mask.

    Notes
    -----
    To answer, it takes the memory that `Stochastic` takes, which hardly grows with the draws.  A
    gradient through it keeps what every layer after the first dropout makes, for each draw: with
    dropout before the heads only, `draws` short vectors an object; with dropout between
    convolutions, `draws` times the memory of a gradient through those convolutions, so that the
    batches have to be as many times smaller.

    Examples
    --------
    >>> import keras
    >>> x = keras.Input((3,), name="image")
    >>> y = keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x))
    >>> both = drawing(keras.Model({"image": x}, {"y": y}), draws=20)
    >>> tuple(both({"image": np.ones((7, 3))})["y"].shape)
    (7, 20, 1)
    """
    sampler = Stochastic(model, draws, seed)
    prefix = sampler.prefix
    return keras.Model(
        prefix.input, _Draws(sampler, name="draws")(prefix.outputs), name=f"{model.name}_draws"
    )


class _Draws(layers.Layer):
    """What follows the first dropout, once for each draw."""

    def __init__(self, sampler: Stochastic, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sampler = sampler
        # Named, so that its weights count as those of the model.
        self.suffix = sampler.suffix

    def call(self, once: Any) -> dict[str, Any]:
        return {name: ops.moveaxis(v, 0, 1) for name, v in self.sampler.after(once).items()}

    def compute_output_spec(self, once: Any) -> dict[str, Any]:
        shapes = {name: (x.shape[1:], x.dtype) for name, x in self.suffix.output.items()}
        constant = self.sampler._split.constant
        # What dropout cannot reach comes last among the tensors made once.
        for name, x in zip(constant, once[len(once) - len(constant) :], strict=True):
            shapes[name] = (x.shape[1:], x.dtype)
        return {
            name: keras.KerasTensor((None, self.sampler.draws, *shape), dtype=dtype)
            for name, (shape, dtype) in shapes.items()
        }

"""Scalars seen as an image one pixel high, so that what explains images explains them as well."""

from __future__ import annotations

from astrocnn.backend import keras, layers
from astrocnn.errors import ModelError
from astrocnn.explain._backward import graph_of

__all__ = ["as_strip"]


def as_strip(model: keras.Model) -> keras.Model:
    """The same network of scalars, from images one pixel high with a pixel for each scalar.

    Methods and checks that need no more than pixels then tell what each scalar does: its gradient,
    what it adds, what the answer loses without it.  In place of the sky, which scalars have not,
    stands zero: standardized, the mean of the training set.

    Parameters
    ----------
    model : keras.Model
        From ``{"scalars": (n, n_scalars)}``; its weights are shared, not copied.

    Returns
    -------
    keras.Model
        From ``{"image": (n, 1, n_scalars, 1)}``; scalars of shape (n, n_scalars) become such
        images as ``scalars[:, None, :, None]``.

    Raises
    ------
    ModelError
        If the network takes an image, or is no graph of layers.

    Examples
    --------
    >>> import keras
    >>> from astrocnn.explain import Response, saliency
    >>> x = keras.Input((2,), name="scalars")
    >>> z = keras.layers.Dense(1, use_bias=False, name="z")
    >>> strip = as_strip(keras.Model({"scalars": x}, {"z": z(x)}))
    >>> z.set_weights([np.array([[0.5], [-3.0]])])
    >>> saliency(strip, np.zeros((1, 1, 2, 1)), Response("z")).ravel().tolist()
    [0.5, -3.0]
    """
    names = tuple(model.input) if isinstance(model.input, dict) else ()
    if names != ("scalars",):
        raise ModelError(
            "Only a network of scalars alone can be seen as one of strips.",
            received=names or type(model.input).__name__,
            allowed=("scalars",),
            hint="one that takes an image is explained as it is",
        )
    n = int(model.input["scalars"].shape[-1])
    image = layers.Input((1, n, 1), name="image")
    made = graph_of(model)._run_through_graph(
        [layers.Reshape((n,))(image)],
        call_fn=lambda layer, *args, **kwargs: layer(*args, **kwargs),
    )
    return keras.Model({"image": image}, made, name=model.name)

"""Monte-Carlo dropout with consistent draws.

Each draw is one sub-network: its masks are the same for every object and depend only on (seed,
layer, draw).  Results therefore do not depend on the size or order of batches, on the number of
workers, or on where a run was interrupted, and draws are joint over a whole catalogue.  What comes
before the first dropout is computed once.  Batch normalization keeps its inference mode throughout.

References
----------
Gal & Ghahramani 2016, ICML (arXiv:1506.02142), section 4.
Kirsch et al. 2019, arXiv:1906.08158, section 3.3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.models.masks import keep_masks
from astrocnn.models.splitting import split

__all__ = ["Stochastic"]

_TOGETHER = 10
"""Draws computed in one go when only vectors follow the first dropout."""


class Stochastic:
    """Draws from a network by consistent dropout.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, with Dropout or SpatialDropout layers.  Its weights are shared,
        not copied, and it is left as it is.
    draws : int
        Number of draws, at least 1.
    seed : int
        Draw k of a seed is the same whatever the number of draws.

    Raises
    ------
    ModelError
        If the network has no dropout, or dropout of a kind that has no mask.

    Notes
    -----
    Calling it is a pure function of tensors, which a backend may compile (``tf.function``,
    ``jax.jit``).  Draws are looped over inside it, so that memory does not grow with their number
    beyond the answers; where only vectors follow the first dropout, ten draws are taken at a time.

    Row for row, answers have the same bits in any batch of one size; `astrocnn.models.in_blocks`
    makes that hold for any number of rows.

    Examples
    --------
    >>> import keras, numpy as np
    >>> x = keras.Input((3,))
    >>> y = keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x))
    >>> sample = Stochastic(keras.Model(x, y), draws=20, seed=1)
    >>> tuple(sample(np.ones((7, 3), "float32"))["y"].shape)
    (20, 7, 1)
    """

    def __init__(self, model: keras.Model, draws: int, seed: int = 0) -> None:
        self._split = split(model)
        if int(draws) < 1:
            raise ModelError("There must be draws to draw.", received=draws, allowed="1 or more")
        self.draws, self.seed = int(draws), int(seed)
        vectors_only = all(
            len(tensor.shape) == 2
            for layer in self._split.suffix.layers
            for tensor in keras.tree.flatten(layer.output)
        )
        # A fixed number, not `draws`: the bits of a draw must not depend on how many there are.
        self._together = _TOGETHER if vectors_only else 1
        groups = math.ceil(self.draws / self._together)
        self._masks = []
        for site in self._split.sites:
            masks = keep_masks(
                self.seed, site.layer, groups * self._together, site.shape, site.rate
            )
            masks = masks.reshape(groups, self._together, *site.shape)
            self._masks.append(ops.convert_to_tensor(masks))
        self._groups = np.arange(groups, dtype="int32")

    def __call__(self, x: Any) -> dict[str, Any]:
        """Draw for a batch.

        Parameters
        ----------
        x : tensor, list or dict of tensors
            What the network takes.

        Returns
        -------
        dict of str to tensor of shape (n_draws, n, units)
            Raw answers of the network by output name, float32 where its heads are.
        """
        once = self.prefix(x, training=False)
        return self.after(list(once) if isinstance(once, (list, tuple)) else [once])

    @property
    def prefix(self) -> keras.Model:
        """What runs once: the model from the network's inputs to what `after` takes."""
        return self._split.prefix

    @property
    def suffix(self) -> keras.Model:
        """What runs in every draw, masks among its inputs."""
        return self._split.suffix

    def after(self, once: list[Any]) -> dict[str, Any]:
        """Draw from what `prefix` made of a batch; answers as those of a call."""
        parts, g = self._split, self._together
        fixed, constant = once[: parts.fixed], once[parts.fixed :]
        n = ops.shape(once[0])[0]
        if g > 1:
            fixed = [ops.tile(tensor, (g, 1)) for tensor in fixed]

        def draw(carry: Any, group: Any) -> tuple[Any, Any]:
            masks = []
            for site, kept in zip(parts.sites, self._masks, strict=True):
                mask = ops.cast(ops.take(kept, group, axis=0), site.dtype)
                mask = mask if site.gain == 1 else mask * site.gain
                masks.append(mask if g == 1 else ops.repeat(mask, n, axis=0))
            answers = parts.suffix([*fixed, *masks], training=False)
            answers = {
                key: ops.reshape(value, (g, -1, *value.shape[1:])) for key, value in answers.items()
            }
            return answers, answers

        start = {
            key: ops.zeros((g, n, *value.shape[1:]), dtype=value.dtype)
            for key, value in parts.suffix.output.items()
        }
        _, answers = ops.scan(draw, start, ops.convert_to_tensor(self._groups))
        samples = {
            key: ops.reshape(value, (-1, n, *value.shape[3:]))[: self.draws]
            for key, value in answers.items()
        }
        for name, value in zip(parts.constant, constant, strict=True):
            samples[name] = ops.repeat(ops.expand_dims(value, 0), self.draws, axis=0)
        return samples

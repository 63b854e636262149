"""Monte-Carlo dropout with consistent draws.

Each draw is one sub-network: its masks are the same for every object and depend only on (seed,
layer, draw).  Results therefore do not depend on the size or order of batches, on the number of
workers, or on where a run was interrupted, and draws are joint over a whole catalogue.  The layers
before the first dropout are computed once.  Batch normalization stays in inference mode.

References
----------
Gal & Ghahramani 2016, ICML (arXiv:1506.02142), section 4.
Kirsch et al. 2019, arXiv:1906.08158, section 3.3 (consistent dropout).
Salmon et al. 2011, SC'11, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import ModelError
from astrocnn.models.dropout_split import split_at_dropout

__all__ = [
    "MonteCarloDropout",
    "build_sampler",
    "compute_mask",
    "compute_masks",
]


def compute_mask(
    seed: int, layer: str, draw: int, shape: tuple[int, ...], rate: float
) -> NDArray[np.bool_]:
    """The units that one draw keeps in the layer of a name, of a shape without the objects.

    It does not depend on how many draws there are; `rate` is the fraction of units dropped.
    """
    # By the name of the layer, not its number: adding a layer leaves the other masks unchanged.
    digest = hashlib.blake2b(f"{int(seed)}/{layer}".encode(), digest_size=16).digest()
    # The draw is the highest word of the counter, so that no two draws share a number.
    generator = np.random.Philox(
        key=np.frombuffer(digest, "<u8").astype(np.uint64),
        counter=np.array([0, 0, 0, draw], np.uint64),
    )
    n = math.prod(shape)
    # Raw bits, since numpy may change how its distributions use them between versions.
    bits = generator.random_raw((n + 1) // 2).astype("<u8", copy=False).view("<u4")[:n]
    # A unit is dropped if its 32 bits lie below rate x 2^32, which does not fit uint32 at a rate of
    # 1.
    return (bits >= np.uint32(min(round(rate * 2**32), 2**32 - 1))).reshape(shape)


def compute_masks(
    seed: int, layer: str, draws: int, shape: tuple[int, ...], rate: float
) -> NDArray[np.bool_]:
    """The masks of draws 0, 1, ... of one layer, of shape (draws, *shape)."""
    return np.stack([compute_mask(seed, layer, draw, shape, rate) for draw in range(draws)])


_TOGETHER = 10
"""Draws computed in one go when only vectors follow the first dropout."""


class MonteCarloDropout:
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
    unrolled : bool
        Whether all draws are computed in one go, without a loop and with masks that are constants
        of the graph: other programs cannot read the graph else.  For networks that `takes_vectors`.

    Attributes
    ----------
    takes_vectors : bool
        Whether only vectors follow the first dropout, so that draws are cheap.

    Raises
    ------
    ModelError
        If the network has no dropout, or dropout of a kind that has no mask.

    Notes
    -----
    Calling it is a pure function of tensors, which a backend may compile (``tf.function``,
    ``jax.jit``).  Draws are looped over inside it, so that memory does not grow with their number
    beyond the outputs; where only vectors follow the first dropout, ten draws are taken at a time.

    Row for row, outputs have the same bits in any batch of one size; estimators call
    it on blocks of one size, so that it holds for any number of rows.

    Examples
    --------
    >>> import keras, numpy as np
    >>> x = keras.Input((3,))
    >>> y = keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x))
    >>> sample = MonteCarloDropout(keras.Model(x, y), draws=20, seed=1)
    >>> tuple(sample(np.ones((7, 3), "float32"))["y"].shape)
    (20, 7, 1)
    """

    def __init__(
        self, model: keras.Model, draws: int, seed: int = 0, *, unrolled: bool = False
    ) -> None:
        self._split = split_at_dropout(model)
        if int(draws) < 1:
            raise ModelError(f"`draws` must be at least 1; got {draws}.")
        self.draws, self.seed = int(draws), int(seed)
        self.takes_vectors = all(
            len(tensor.shape) == 2
            for layer in self._split.suffix.layers
            for tensor in keras.tree.flatten(layer.output)
        )
        # A fixed number, not `draws`: the bits of a draw must not depend on how many there are.
        together = self.draws if unrolled else _TOGETHER
        self._together = together if self.takes_vectors else 1
        groups = math.ceil(self.draws / self._together)
        self._masks = []
        for site in self._split.sites:
            masks = compute_masks(
                self.seed, site.layer, groups * self._together, site.shape, site.rate
            )
            # All masks are made once and reused for every batch: that is what makes draws
            # consistent.
            masks = masks.reshape(groups, self._together, *site.shape)
            # Not a tensor: constants of the graph, which other programs can read.
            self._masks.append(masks[0] if unrolled else ops.convert_to_tensor(masks))
        self._unrolled = unrolled
        self._groups = np.arange(groups, dtype="int32")

    def __call__(self, x: Any) -> dict[str, Any]:
        """Raw outputs for a batch, by output name, of shape (n_draws, n, units)."""
        # Inference mode: batch normalization uses its running statistics, and all randomness comes
        # from the masks.
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
        """Draw from what `prefix` made of a batch; outputs as those of a call."""
        parts, g = self._split, self._together
        fixed, constant = once[: parts.fixed], once[parts.fixed :]
        # The number of objects is known only at run time; one graph serves any batch.
        n = ops.shape(once[0])[0]
        if g > 1:
            # The draws of a group are stacked along the batch axis, one after another.
            fixed = [ops.tile(tensor, (g, 1)) for tensor in fixed]

        def draw(carry: Any, group: Any) -> tuple[Any, Any]:
            masks = []
            for site, site_masks in zip(parts.sites, self._masks, strict=True):
                chosen = site_masks if self._unrolled else ops.take(site_masks, group, axis=0)
                mask = ops.cast(chosen, site.dtype)
                mask = mask if site.gain == 1 else mask * site.gain
                if g > 1:
                    # Each mask for all objects, one draw after another.
                    mask = ops.broadcast_to(mask[:, None], (g, n, *site.shape))
                    mask = ops.reshape(mask, (-1, *site.shape))
                masks.append(mask)
            outputs = parts.suffix([*fixed, *masks], training=False)
            outputs = {
                key: ops.reshape(value, (g, -1, *value.shape[1:])) for key, value in outputs.items()
            }
            return outputs, outputs

        if self._unrolled:
            outputs = {key: value[None] for key, value in draw(None, 0)[1].items()}
        else:
            start = {
                key: ops.zeros((g, n, *value.shape[1:]), dtype=value.dtype)
                for key, value in parts.suffix.output.items()
            }
            # A loop inside the graph: memory for one group of draws, whatever their number.
            groups = ops.convert_to_tensor(self._groups)
            _, outputs = ops.scan(draw, start, groups)
        # The last group may hold more draws than were requested.
        samples = {
            key: ops.reshape(value, (-1, n, *value.shape[3:]))[: self.draws]
            for key, value in outputs.items()
        }
        # Outputs that no dropout reaches are equal in every draw.
        for name, value in zip(parts.constant, constant, strict=True):
            samples[name] = ops.repeat(ops.expand_dims(value, 0), self.draws, axis=0)
        return samples


def build_sampler(model: keras.Model, draws: int, seed: int = 0) -> keras.Model:
    """A Monte-Carlo dropout sampler: a model with the inputs of a network, and draws as outputs.

    Parameters
    ----------
    model, draws, seed
        As for `MonteCarloDropout`, whose draws these are.

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
    A prediction takes the memory of `MonteCarloDropout`, which hardly grows with the draws.  A
    gradient through it keeps what every layer after the first dropout makes, for each draw: with
    dropout before the heads only, `draws` short vectors an object; with dropout between
    convolutions, `draws` times the memory of a gradient through those convolutions, so that the
    batches have to be as many times smaller.

    Examples
    --------
    >>> import keras
    >>> x = keras.Input((3,), name="image")
    >>> y = keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x))
    >>> sampler = build_sampler(keras.Model({"image": x}, {"y": y}), draws=20)
    >>> tuple(sampler({"image": np.ones((7, 3))})["y"].shape)
    (7, 20, 1)
    """
    sampler = MonteCarloDropout(model, draws, seed)
    prefix = sampler.prefix
    return keras.Model(
        prefix.input, _Draws(sampler, name="draws")(prefix.outputs), name=f"{model.name}_draws"
    )


class _Draws(layers.Layer):
    """What follows the first dropout, once for each draw."""

    def __init__(self, sampler: MonteCarloDropout, **kwargs: Any) -> None:
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

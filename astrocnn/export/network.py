"""A trained network as one function of raw cutouts: normalization, layers and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.calibration import Temperature
from astrocnn.datasets.symmetry import ELEMENTS, d4_tables
from astrocnn.errors import ModelError
from astrocnn.estimators import Calibrated, Ensemble, Estimator, KerasEstimator
from astrocnn.estimators.base import validate_draws
from astrocnn.imaging import Inputs
from astrocnn.models import MonteCarloDropout
from astrocnn.targets import Task

__all__ = ["build_twin", "trace_network"]

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)
_HALF_STEP = 2.0**-25
_SQUARES = 1e9
"""Above it the square of a float32 may overflow, and asinh(x) is log(2 x) to its last digit."""


class _PortableOps:
    """`keras.ops`, of which some are written with operations that every runtime has."""

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)

    @staticmethod
    def isfinite(x: Any) -> Any:
        return tf.abs(x) <= _LARGEST

    @staticmethod
    def arcsinh(x: Any) -> Any:
        size = tf.abs(x)
        small = tf.math.log(size + tf.sqrt(size * size + 1.0))
        return tf.sign(x) * tf.where(size > _SQUARES, tf.math.log(size) + np.log(2.0), small)

    @staticmethod
    def log1p(x: Any) -> Any:
        return tf.math.log(1.0 + x)


def build_twin(estimator: Estimator) -> tuple[Estimator, tuple[str, ...]]:
    """The estimator that an exported network equals, and what it lacks.

    Parameters
    ----------
    estimator : Estimator
        A network, an ensemble of networks, or one of these calibrated.

    Returns
    -------
    twin : Estimator
        It predicts in float32, calibrated by temperatures only, and shares the weights.
    lacks : tuple of str
        A sentence for each step of a prediction that the exported network does not make.

    Raises
    ------
    ModelError
        If it is not a network.
    """
    if isinstance(estimator, Calibrated):
        inner, lacks = build_twin(estimator.estimator)
        inside = {n: r for n, r in estimator.remaps.items() if isinstance(r, Temperature)}
        for name in estimator.remaps.keys() - inside.keys():
            kind = type(estimator.remaps[name]).__name__
            lacks += (f"The calibration of '{name}' ({kind}) is not part of the exported network.",)
        return (Calibrated(inner, inside) if inside else inner), lacks
    if isinstance(estimator, Ensemble):
        twins = [build_twin(member)[0] for member in estimator.members]
        return Ensemble(twins), ()
    if isinstance(estimator, KerasEstimator):
        return estimator.in_float32(), ()
    raise ModelError(
        "Only networks can be exported.",
        received=type(estimator).__name__,
        allowed="networks, ensembles of networks, and these calibrated",
        hint="classical methods predict with astrocnn itself",
    )


def trace_network(
    twin: Estimator, *, draws: int = 0, seed: int = 0, views: str = "one", portable: bool = False
) -> Any:
    """Trace the whole prediction as one TensorFlow function.

    Parameters
    ----------
    twin : Estimator
        From `build_twin`.
    draws, seed, views
        As in `Estimator.sample`; the masks of the draws become constants of the function.
    portable : bool
        Whether to use only operations that LiteRT has, at a cost of about 1e-7 in the stretch.

    Returns
    -------
    tf.Module
        Its attribute ``predict`` is a function with the arguments ``image``, float32 of shape
        (n, size, size, n_bands) in linear fluxes, and ``scalars``, float32 of shape
        (n, n_scalars), as far as the network takes them.  It returns a dict by target, of shape
        (n, units); with draws, or of an ensemble, of shape (n_draws, n, units).

    Raises
    ------
    ModelError
        If draws are requested of a network without dropout, or with dropout before the layers
        that take vectors.
    """
    validate_draws(draws, views)
    remaps = twin.remaps if isinstance(twin, Calibrated) else {}
    inner = twin.estimator if isinstance(twin, Calibrated) else twin
    members: tuple[Any, ...] = inner.members if isinstance(inner, Ensemble) else (inner,)
    task, inputs = inner.task, inner.inputs
    samplers = [_build_sampler(m.model_, draws, seed + k) for k, m in enumerate(members)]
    averaged = views == "d4" and bool(inputs.bands)
    n_views = (4 if task.sensitive_to else ELEMENTS) if averaged else 1
    temperatures = {n: r.temperature for n, r in remaps.items() if isinstance(r, Temperature)}

    def predict(**given: Any) -> dict[str, Any]:
        x = _prepare(inputs, given, n_views, portable)
        raw = [sampler(x) for sampler in samplers]
        return _activate(task, raw, temperatures, draws, n_views)

    signature = {}
    if inputs.bands:
        shape = (None, inputs.size, inputs.size, inputs.n_bands)
        signature["image"] = tf.TensorSpec(shape, tf.float32, name="image")
    if inputs.scalars:
        signature["scalars"] = tf.TensorSpec((None, len(inputs.scalars)), tf.float32, "scalars")
    module = tf.Module()
    traced = tf.function(_spread(predict, tuple(signature)), autograph=False)
    module.predict = traced
    module.signature = traced.get_concrete_function(*signature.values())
    # Converters take the weights that a module holds itself, not those of layers of Keras in it.
    module.weights = list(module.signature.variables)
    return module


def _spread(predict: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """The function with the arguments that it takes: their names are in the exported file."""
    if names == ("image",):
        return lambda image: predict(image=image)
    if names == ("scalars",):
        return lambda scalars: predict(scalars=scalars)
    return lambda image, scalars: predict(image=image, scalars=scalars)


def _build_sampler(model: keras.Model, draws: int, seed: int) -> Callable[[Any], dict[str, Any]]:
    """From normalized inputs to raw parameters of shape (n_draws, n, units)."""
    if not draws:
        return lambda x: {k: v[None] for k, v in model(x, training=False).items()}
    sampler = MonteCarloDropout(model, draws, seed, unrolled=True)
    if not sampler.takes_vectors:
        raise ModelError(
            "Draws are exported only of networks whose dropout lies in the head.",
            received=f"'{model.name}' drops units before its last convolution or pooling",
            hint="export the mean prediction (draws = 0), or train with "
            "model.options.head_dropout alone",
        )
    return sampler


def _prepare(inputs: Inputs, given: dict[str, Any], n_views: int, portable: bool) -> dict[str, Any]:
    """Normalized images, in all orientations, and standardized scalars."""
    x = {}
    if "image" in given:
        assert inputs.normalization is not None
        image = inputs.normalization.apply(given["image"], _get_ops(portable))
        image = tf.reshape(image, (-1, *inputs.shape))
        if n_views > 1:
            size, channels = inputs.size, inputs.n_channels
            pixels = tf.reshape(image, (-1, size * size, channels))
            # One gather for all orientations of an object, which follow each other.
            places = d4_tables(size)[:n_views].reshape(-1)
            image = tf.reshape(tf.gather(pixels, places, axis=1), (-1, size, size, channels))
        x["image"] = image
    if "scalars" in given:
        scalars = _standardize(inputs, given["scalars"], portable)
        x["scalars"] = tf.repeat(scalars, n_views, axis=0) if n_views > 1 else scalars
    return x


def _get_ops(portable: bool) -> Any:
    return _PortableOps() if portable else keras.ops


def _standardize(inputs: Inputs, scalars: Any, portable: bool) -> Any:
    if not inputs.scalar_location:
        return scalars
    location, scale = (np.array(v) for v in (inputs.scalar_location, inputs.scalar_scale))
    if not portable:
        # As `Inputs.standardize`, in double precision.
        return tf.cast((tf.cast(scalars, tf.float64) - location) / scale, tf.float32)
    # LiteRT has no double precision: the location is the sum of two numbers of single precision,
    # and the difference from the first one is exact wherever it matters.
    high = location.astype(np.float32)
    low = (location - high).astype(np.float32)
    # Divided in between, since optimizers join two constants that follow each other.
    width = scale.astype(np.float32)
    return (scalars - high) / width - low / width


def _activate(
    task: Task,
    raw: list[dict[str, Any]],
    temperatures: dict[str, float],
    draws: int,
    n_views: int,
) -> dict[str, Any]:
    """Parameters by target from the raw parameters of each member."""
    out, first = {}, max(draws, 1) * len(raw)
    for target in task.targets:
        units = target.family.units
        parts = [tf.cast(target.family.activate(r[target.name]), tf.float32) for r in raw]
        # The first draw of each member in turn, then the second.
        values = tf.reshape(tf.stack(parts, axis=1), (first, -1, units))
        if n_views > 1:
            values = tf.reduce_mean(tf.reshape(values, (first, -1, n_views, units)), axis=2)
        if (temperature := temperatures.get(target.name, 1.0)) != 1.0:
            values = _rescale(values, temperature)
        out[target.name] = values if draws or len(raw) > 1 else values[0]
    return out


def _rescale(p: Any, temperature: float) -> Any:
    """Probabilities at a temperature, as `Temperature.apply` does."""
    if p.shape[-1] > 1:
        return tf.nn.softmax(tf.math.log(tf.maximum(p, _SMALLEST)) / temperature)
    # Of two classes one probability is stored, and the other one is rounded to half a step.
    other = tf.maximum(1.0 - p, _HALF_STEP)
    return tf.sigmoid((tf.math.log(tf.maximum(p, _HALF_STEP)) - tf.math.log(other)) / temperature)

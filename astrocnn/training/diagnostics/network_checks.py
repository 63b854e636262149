"""Checks of a network on one batch: initial loss, units, finite outputs, gradients, overfitting.

A batch is ``(x, y, weights)`` as for `astrocnn.training.fit`; networks are functional and, but for
`check_finite` and `compute_layer_statistics`, untrained.  `losses` maps each target to the loss
per object of (encoded, raw), as ``family.loss``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from astrocnn.backend import keras, tf
from astrocnn.targets import Family
from astrocnn.training.diagnostics.data_checks import Finding
from astrocnn.training.objective import Objective, PerObject, mask_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "LayerStatistics",
    "check_finite",
    "check_initial_loss",
    "check_layers",
    "check_overfit",
    "check_symmetry",
    "plot_layers",
    "compute_layer_statistics",
]


_RANGE = 1e3  # between the layers with the largest and the smallest outputs or gradients
_DEAD = 0.5
_FITTED = 0.8  # of the way from the best constant output to free outputs ...
_ENOUGH_FALL = 1.5  # ... or this fall of the loss


def check_initial_loss(model: Any, batch: Any, families: Mapping[str, Family]) -> list[Finding]:
    """Loss of each target before the first update, against the `initial_loss` of its family."""
    x, y, weights = batch
    raw = model(x, training=False)
    findings = []
    for name, family in families.items():
        weight, encoded = mask_labels(y, weights, name)
        loss = np.asarray(family.loss(encoded, raw[name]), np.float64)
        used = np.asarray(weight) > 0
        # An untrained head should give the loss of a guess; much more means unscaled inputs.
        expected = family.initial_loss
        mean = float(loss[used].mean()) if used.any() else float("nan")
        # Relative to the loss expected, but for losses near 0, which have no scale.
        passed = bool(abs(mean - expected) <= max(0.5 * abs(expected), 0.25))
        message = f"{name}: {mean:.3f}, expected {expected:.3f}"
        if not passed:
            message += ": look at the range of the inputs, the labels and the initializer"
        findings.append(Finding("initial loss", passed, message))
    return findings


def check_symmetry(model: Any, batch: Any, losses: Mapping[str, PerObject]) -> Finding:
    """Units of one layer with equal weights and gradients: they stay equal during training."""
    kernels = [v for v in model.trainable_variables if len(v.shape) > 1 and v.shape[-1] > 1]
    equal: list[str] = []
    for variable, gradient in zip(kernels, _gradients(model, batch, losses, kernels), strict=True):
        # Equal gradients as well: units with equal weights and different gradients separate.
        columns = np.concatenate([_columns(variable.numpy()), _columns(gradient)], axis=0)
        units = columns.shape[1]
        different = len(np.unique(np.round(columns, 6), axis=1).T)
        if different < units:
            equal.append(f"{variable.path} ({units} units, {different} different)")
    if equal:
        return Finding(
            "symmetry",
            False,
            f"units are equal in {', '.join(equal)}: initialize at random ('he', 'glorot')",
        )
    return Finding("symmetry", True, f"no two units equal in {len(kernels)} layers")


def _columns(values: np.ndarray) -> np.ndarray:
    """Weights of each unit as a column, in units of the largest."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    # Relative, since they are compared to six decimals whatever their size.
    return flat / (np.abs(flat).max() or 1.0)


def check_finite(model: Any, x: Any) -> Finding:
    """Follow a batch through the network; names the first input or layer that has a NaN."""
    for name, value in x.items():
        count = int(np.count_nonzero(~np.isfinite(value)))
        if count:
            return Finding(
                "finite",
                False,
                f"input '{name}' holds {count} values that are NaN or infinite: look for infinite "
                "pixels and missing scalars",
            )
    outputs = _layer_outputs(model, x)
    for layer, value in outputs:
        if np.isfinite(value).all():
            continue
        # Weights that are not finite come from an earlier update, and not from this layer.
        weights = all(np.isfinite(w).all() for w in layer.get_weights())
        cause = "its inputs and weights are finite" if weights else "its weights are not finite"
        return Finding(
            "finite",
            False,
            f"layer '{layer.name}' is the first to yield NaN or infinity; {cause}: "
            "a lower learning rate, clip_norm = 1, or precision float32",
        )
    return Finding("finite", True, f"all outputs of {len(outputs)} layers")


def _layer_outputs(model: Any, x: Any) -> list[tuple[Any, np.ndarray]]:
    """Each layer but the inputs with its output, in the order of computation, without dropout."""
    layers = [v for v in model.layers if not isinstance(v, keras.layers.InputLayer)]
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(x, training=False)
    return [(layer, np.asarray(value)) for layer, value in zip(layers, outputs, strict=True)]


def _mean_loss(objective: Objective, y: Any, weights: Any, raw: Any) -> Any:
    """Sum over targets of the mean loss of the labelled objects."""
    sums, totals = objective.sums(y, weights, raw, training=False)
    return tf.add_n([tf.math.divide_no_nan(s, t) for s, t in zip(sums, totals, strict=True)])


def _gradients(
    model: Any, batch: Any, losses: Mapping[str, PerObject], variables: list[Any]
) -> list[np.ndarray]:
    """Gradient of the mean loss by each variable, 0 where it has none."""
    x, y, weights = batch
    with tf.GradientTape() as tape:
        loss = _mean_loss(Objective(losses), y, weights, model(x, training=False))
    tensors = [v.value for v in variables]
    gradients = tape.gradient(loss, tensors, unconnected_gradients="zero")
    return [np.asarray(gradient) for gradient in gradients]


def check_overfit(
    model: Any, batch: Any, families: Mapping[str, Family], steps: int = 150, rate: float = 2e-3
) -> Finding:
    """Train on one small batch, without dropout, until the network overfits it.

    The loss must fall from that of the best constant output by 80 per cent of the way to that of
    free outputs for each object, or by 1.5.  The network is left as it was.

    Parameters
    ----------
    model, batch
        As for the other checks, with some 20 objects.
    families : mapping of target to Family
        Those of the targets.
    steps : int
        Updates, with Adam.
    rate : float
        Learning rate.
    """
    x, y, weights = batch
    n = len(next(iter(x.values())))
    objective = Objective({name: family.loss for name, family in families.items()})

    def compute_loss(raw: Any) -> Any:
        return _mean_loss(objective, y, weights, raw)

    def minimize(variables: list[Any], loss: Any, updates: int, rate: float) -> float:
        optimizer = keras.optimizers.Adam(rate)
        # Before tracing: a graph function may not make variables.
        optimizer.build(variables)

        @tf.function(autograph=False)
        def step() -> Any:
            with tf.GradientTape() as tape:
                value = loss()
            tensors = [v.value for v in variables]
            gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
            optimizer.apply(gradients, variables)
            return value

        for _ in range(updates):
            step()
        return float(loss())

    def fit_outputs(rows: int) -> float:
        raw = {k: keras.Variable(np.zeros((rows, f.units), "f4")) for k, f in families.items()}
        ones = tf.ones((n, 1)) if rows == 1 else 1.0
        return minimize(
            list(raw.values()),
            lambda: compute_loss({k: v.value * ones for k, v in raw.items()}),
            100,
            0.05,
        )

    # Both references are fitted, since a family's lowest loss may be negative or unknown.
    constant, perfect = fit_outputs(1), fit_outputs(n)
    # All of them, because batch normalization moves its averages too.
    saved = [np.array(v.numpy()) for v in model.variables]
    try:
        final = minimize(
            model.trainable_variables, lambda: compute_loss(model(x, training=False)), steps, rate
        )
    finally:
        for variable, value in zip(model.variables, saved, strict=True):
            variable.assign(value)
    message = f"{n} examples, {steps} updates: loss {final:.3f}; best constant {constant:.3f}"
    # Densities have no lowest loss, so a fixed fall is enough there.
    needed = min(_FITTED * (constant - perfect), _ENOUGH_FALL)
    # Where all labels are equal there is nothing to overfit, whatever the network does.
    if constant - perfect < 1e-3:
        return Finding("overfits", False, f"{message}: all labels are equal, look at the column")
    passed = bool(constant - final >= needed)
    if not passed:
        message += (
            f", free outputs {perfect:.3f}: the network cannot overfit them; look at the "
            "findings above, then at the labels, or take a larger network"
        )
    return Finding("overfits", passed, message)


class LayerStatistics(NamedTuple):
    """One layer on one batch."""

    name: str
    mean: float
    """Of all its outputs."""
    std: float
    """Of all its outputs."""
    dead: float
    """Fraction of its units that give 0 for every object at every place."""
    gradient: float
    """Root mean square of the gradient of its weights; NaN without weights."""


def compute_layer_statistics(
    model: Any, batch: Any, losses: Mapping[str, PerObject]
) -> list[LayerStatistics]:
    """Outputs and gradients of each layer but the inputs, without dropout, in order."""
    variables = model.trainable_variables
    gradients = _gradients(model, batch, losses, variables)
    by_variable = {id(v): g for v, g in zip(variables, gradients, strict=True)}
    rows = []
    for layer, single in _layer_outputs(model, batch[0]):
        value = single.astype(np.float64)
        units = value.reshape(-1, value.shape[-1])
        own = [
            by_variable[id(v)].ravel() for v in layer.trainable_variables if id(v) in by_variable
        ]
        gradient = np.sqrt(np.mean(np.concatenate(own) ** 2.0)) if own else np.nan
        # Zero for every object and place: a unit that is zero for some is selective, not dead.
        dead = float(np.mean(np.all(units == 0, axis=0)))
        rows.append(LayerStatistics(layer.name, value.mean(), value.std(), dead, float(gradient)))
    return rows


def check_layers(statistics: Sequence[LayerStatistics]) -> list[Finding]:
    """Outputs and gradients that vanish or explode with depth, and dead units."""
    spread = [s.std for s in statistics]
    worst = max(statistics, key=lambda s: s.dead)
    # Layers without weights have no gradient to compare.
    trained = [s for s in statistics if np.isfinite(s.gradient)]
    weak, strong = (pick(trained, key=lambda s: s.gradient) for pick in (min, max))
    even = bool(np.isfinite(spread).all() and max(spread) < _RANGE * min(spread))
    flowing = bool(len(trained) and strong.gradient < _RANGE * weak.gradient)
    return [
        Finding(
            "activations",
            even,
            f"standard deviations from {min(spread):.2g} to {max(spread):.2g}"
            + ("" if even else ": try initializer 'he' for ReLU, or normalization 'batch'"),
        ),
        Finding(
            "dead units",
            worst.dead < _DEAD,
            f"at most {100 * worst.dead:.0f} % (layer {worst.name})"
            + ("" if worst.dead < _DEAD else ": a lower learning rate, or 'leaky_relu'"),
        ),
        Finding(
            "gradients",
            flowing,
            f"from {weak.gradient:.1e} ({weak.name}) to {strong.gradient:.1e} ({strong.name})"
            + ("" if flowing else ": they vanish or explode; try ReLU, 'he', normalization"),
        ),
    ]


def plot_layers(stages: Mapping[str, Sequence[LayerStatistics]]) -> Figure:
    """Spread of the outputs, dead units and gradients of each layer of one network, by stage."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    names = [s.name for s in next(iter(stages.values()))]
    figure = Figure(figsize=(8.0, max(2.6, 0.8 + 0.17 * len(names))), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    place = np.arange(len(names))
    for (stage, rows), color, mark in zip(
        stages.items(), ("#4477aa", "#ee6677"), "os", strict=False
    ):
        style = {"color": color, "marker": mark, "ms": 3.5, "lw": 1}
        with_weights = [np.isfinite(s.gradient) for s in rows]
        axes[0].plot([s.std for s in rows], place, label=stage, **style)
        axes[1].plot([s.dead for s in rows], place, **style)
        axes[2].plot(
            [s.gradient for s in rows if np.isfinite(s.gradient)], place[with_weights], **style
        )
    axes[0].set(yticks=place, yticklabels=names, xscale="log", xlabel="std of outputs")
    axes[0].tick_params(axis="y", labelsize=7)
    axes[0].invert_yaxis()
    axes[1].set(xlim=(-0.05, 1.05), xlabel="fraction of dead units")
    axes[2].set(xscale="log", xlabel="rms gradient of weights")
    for axis in axes[[0, 2]]:
        # Whole decades, so that there are at least two labels and they do not overlap.
        low, high = np.log10(axis.get_xlim())
        axis.set_xlim(10 ** np.floor(low), 10 ** np.ceil(high))
        axis.xaxis.set_minor_formatter(NullFormatter())
    for axis in axes:
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False, fontsize=7)
    return figure

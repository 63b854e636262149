"""Learning rates of single layers, and frozen layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astrocnn.backend import keras
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest
from astrocnn.training.optimizers import Optimizer

__all__ = ["LayerOptimizers", "LayerRates"]


@dataclass(frozen=True)
class LayerRates:
    """Factors on the learning rate of layers.

    Parameters
    ----------
    rates : mapping of str to float
        Factor on the learning rate, by the name of a layer; 1 for layers that are not named, and 0
        freezes a layer: its weights and the statistics of its normalization stay as they are.
    frozen_epochs : int
        Epochs during which all layers named in `rates` are frozen.  The patience of early stopping
        counts from the epoch in which they are unfrozen.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    frozen_epochs: int = 0

    def describe(self) -> dict[str, Any]:
        """What must be the same for a training to be continued, JSON."""
        if not self.rates:
            return {}
        return {"rates": dict(self.rates), "frozen epochs": self.frozen_epochs}


@dataclass(frozen=True)
class _Group:
    factor: float
    named: bool
    optimizer: keras.Optimizer
    variables: list[keras.Variable]


class LayerOptimizers:
    """One optimizer for each group of layers that learn at the same rate.

    The layers named in `rates` are frozen at first: their weights and the statistics of their
    normalization stay as they are, to the last bit, and batch normalization works as in a
    prediction.  After `frozen_epochs` they learn at their share of the learning rate; a share of 0
    keeps them frozen.  Each group has its own momenta and counts its own updates, so that those
    of an unfrozen layer begin when it is unfrozen.

    Raises
    ------
    TrainingError
        If there is no such layer, a number is out of range, or nothing would be trained.
    """

    def __init__(self, method: Optimizer, model: keras.Model, layer_rates: LayerRates) -> None:
        self.layer_rates = layer_rates
        rates, frozen_epochs = layer_rates.rates, layer_rates.frozen_epochs
        self.frozen_epochs = frozen_epochs if rates else 0
        _check(model, rates, frozen_epochs)
        self._layers = [x for x in model.layers if x.name in rates and x.trainable]
        # Keras has one learning rate an optimizer, so each factor gets an optimizer of its own.
        owner = {id(v): x.name for x in self._layers for v in x.trainable_variables}
        found: dict[tuple[bool, float], list[Any]] = {}
        for variable in model.trainable_variables:
            name = owner.get(id(variable))
            factor = 1.0 if name is None else rates[name]
            found.setdefault((name is not None, factor), []).append(variable)
        self.groups: list[_Group] = []
        for (named, factor), variables in found.items():
            if factor > 0:
                optimizer = method.build()
                # Built now, so that a backup can be restored before the first update.
                optimizer.build(variables)
                self.groups.append(_Group(factor, named, optimizer, variables))
        if all(group.named for group in self.groups) and (frozen_epochs or not self.groups):
            raise TrainingError(
                "Every layer is frozen: there is nothing to train.",
                hint="leave out of the rates the layers that learn from the first epoch",
            )
        self.learning_rate = method.learning_rate

    @property
    def learning_rate(self) -> float:
        """Learning rate of layers with a factor of 1, in float32 as the optimizers hold it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        # Rounded as the optimizer rounds it, so that the history shows the rate used.
        self._learning_rate = float(np.float32(rate))
        for group in self.groups:
            group.optimizer.learning_rate = rate * group.factor

    @property
    def updates(self) -> int:
        """Number of updates made."""
        return max(int(group.optimizer.iterations.numpy()) for group in self.groups)

    @property
    def variables(self) -> list[Any]:
        """The state of all of them."""
        return [variable for group in self.groups for variable in group.optimizer.variables]

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Update variables, each by the optimizer of its group."""
        # Gradients come for the variables trained now; those of frozen groups are absent.
        by_variable = {id(v): g for v, g in zip(variables, gradients, strict=True)}
        for group in self.groups:
            own = [v for v in group.variables if id(v) in by_variable]
            if own:
                group.optimizer.apply([by_variable[id(v)] for v in own], own)

    def get_averages(self) -> Iterator[tuple[Any, Any]]:
        """Each variable that has been updated, with its moving average."""
        for group in self.groups:
            # Averages of a group that was never updated are zeros, not its weights.
            if int(group.optimizer.iterations.numpy()):
                yield from zip(
                    group.variables, group.optimizer._model_variables_moving_average, strict=True
                )

    def freeze(self, epoch: int) -> None:
        """Freeze or unfreeze the named layers for an epoch (from 0)."""
        for layer in self._layers:
            layer.trainable = epoch >= self.frozen_epochs and self.layer_rates.rates[layer.name] > 0

    def release(self) -> None:
        """Leave the network as trainable as it was."""
        for layer in self._layers:
            layer.trainable = True


def _check(model: Any, rates: Mapping[str, float], frozen_epochs: int) -> None:
    # A rate of a layer without weights would have no effect, without a word.
    names = [layer.name for layer in model.layers if layer.weights]
    for name, rate in rates.items():
        if name not in names:
            raise TrainingError(
                f"The network has no layer '{name}', for which a learning rate is given.",
                allowed=names,
                hint=nearest(name, names),
            )
        # NaN is no number in a range, and is refused as well.
        if not 0 <= rate < np.inf:
            raise TrainingError(
                f"The factor on the learning rate of '{name}' is out of range.",
                received=rate,
                allowed="0, which freezes it, or more",
            )
    if frozen_epochs < 0:
        raise TrainingError(
            "`frozen_epochs` is out of range.", received=frozen_epochs, allowed="0 or more"
        )

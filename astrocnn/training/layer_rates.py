"""Layers that learn at a rate of their own, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest
from astrocnn.training.optimizers import Optimizer

__all__ = ["LayerOptimizers"]


@dataclass(frozen=True)
class _Group:
    factor: float
    named: bool
    rule: Any
    variables: list[Any]


class LayerOptimizers:
    """One optimizer for each group of layers that learn at the same rate.

    The layers named in `rates` are frozen at first: their weights and the statistics of their
    normalization stay as they are, to the last bit, and batch normalization works as in a
    prediction.  After `frozen_epochs` they learn at their share of the learning rate; a share of 0
    keeps them frozen.  Each group has its own momenta and counts its own updates, so that those
    of a released layer begin with its release.

    Parameters
    ----------
    method : Optimizer
        What all of them are.
    model : keras.Model
        Whose layers they train.
    rates : mapping of str to float
        Factor on the learning rate, by the name of a layer; 1 for layers that are not named.
    frozen_epochs : int
        Epochs during which all layers that are named are frozen.

    Raises
    ------
    TrainingError
        If there is no such layer, a number is out of range, or nothing would be trained.
    """

    def __init__(
        self, method: Optimizer, model: Any, rates: Mapping[str, float], frozen_epochs: int = 0
    ) -> None:
        self.frozen_epochs = frozen_epochs if rates else 0
        _check(model, rates, frozen_epochs)
        self._layers = [x for x in model.layers if x.name in rates and x.trainable]
        self._rates = dict(rates)
        owner = {id(v): x.name for x in self._layers for v in x.trainable_variables}
        found: dict[tuple[bool, float], list[Any]] = {}
        for variable in model.trainable_variables:
            name = owner.get(id(variable))
            found.setdefault((name is not None, rates.get(name, 1.0)), []).append(variable)
        self.groups: list[_Group] = []
        for (named, factor), variables in found.items():
            if factor > 0:
                rule = method.build()
                rule.build(variables)
                self.groups.append(_Group(factor, named, rule, variables))
        if all(group.named for group in self.groups) and (frozen_epochs or not self.groups):
            raise TrainingError(
                "Every layer is frozen: there is nothing to train.",
                hint="leave out of the rates the layers that learn from the first epoch",
            )
        self.learning_rate = method.learning_rate

    @property
    def learning_rate(self) -> float:
        """That of layers with a factor of 1, as the optimizers know it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._learning_rate = float(np.float32(rate))
        for group in self.groups:
            group.rule.learning_rate = rate * group.factor

    @property
    def updates(self) -> int:
        """Number of updates made."""
        return max(int(group.rule.iterations.numpy()) for group in self.groups)

    @property
    def variables(self) -> list[Any]:
        """The state of all of them."""
        return [variable for group in self.groups for variable in group.rule.variables]

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Update variables, each by the optimizer of its group."""
        given = {id(v): g for v, g in zip(variables, gradients, strict=True)}
        for group in self.groups:
            own = [v for v in group.variables if id(v) in given]
            if own:
                group.rule.apply([given[id(v)] for v in own], own)

    def averages(self) -> Iterator[tuple[Any, Any]]:
        """Each variable that has been updated, with its moving average."""
        for group in self.groups:
            if int(group.rule.iterations.numpy()):
                yield from zip(
                    group.variables, group.rule._model_variables_moving_average, strict=True
                )

    def freeze(self, epoch: int) -> None:
        """Freeze or release the layers that are named, as it should be in an epoch (from 0)."""
        for layer in self._layers:
            layer.trainable = epoch >= self.frozen_epochs and self._rates[layer.name] > 0

    def release(self) -> None:
        """Leave the network as trainable as it was."""
        for layer in self._layers:
            layer.trainable = True


def _check(model: Any, rates: Mapping[str, float], frozen_epochs: int) -> None:
    known = [layer.name for layer in model.layers if layer.weights]
    for name, rate in rates.items():
        if name not in known:
            raise TrainingError(
                f"There is a learning rate for a layer '{name}', which the network does not have.",
                allowed=known,
                hint=nearest(name, known),
            )
        if not 0 <= rate < np.inf:
            raise TrainingError(
                f"The factor on the learning rate of '{name}' is out of range.",
                received=rate,
                allowed="0, which freezes it, or more",
            )
    if frozen_epochs < 0:
        raise TrainingError(
            "The number of frozen epochs is out of range.",
            received=frozen_epochs,
            allowed="0 or more",
        )

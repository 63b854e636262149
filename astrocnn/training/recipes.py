"""Recipes of fine-tuning: which layers of a network with initial weights learn, when and how fast.

References
----------
Kumar et al. 2022, ICLR (arXiv:2202.10054): first the heads alone, then all layers.
Howard & Ruder 2018, ACL (arXiv:1801.06146), section 3.2: learning rates that fall with depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from astrocnn import models
from astrocnn.backend import keras
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest
from astrocnn.training.layer_rates import LayerRates

__all__ = ["RECIPES", "Recipe", "build_layer_rates"]

Recipe = Literal["probe", "finetune", "probe-then-finetune"]
RECIPES: tuple[str, ...] = get_args(Recipe)
"""Names of the recipes."""


def build_layer_rates(
    model: keras.Model,
    recipe: str = "probe-then-finetune",
    *,
    frozen_epochs: int = 5,
    body_rate: float = 0.1,
    layer_decay: float = 1.0,
    frozen_statistics: bool = True,
    layer_rates: Mapping[str, float] | None = None,
) -> LayerRates:
    """Learning rates of the layers of a network that begins with weights.

    Parameters
    ----------
    model : keras.Model
        From `astrocnn.models.build_model`.
    recipe : {"probe", "finetune", "probe-then-finetune"}
        "probe" trains the heads alone; "finetune" all layers from the first epoch on;
        "probe-then-finetune" the heads for `frozen_epochs` and then all.
    frozen_epochs : int
        Epochs in which only the heads learn, for the last of them.
    body_rate : float
        Factor on the learning rate of all layers but the heads.
    layer_decay : float
        Further factor from each size of the feature maps to the next larger one, so that layers
        near the image, whose features are the most general, change least.
    frozen_statistics : bool
        Whether batch normalization works with the statistics and factors of the initial weights:
        those of a few batches are worse.
    layer_rates : mapping of str to float, optional
        Factors of single layers by name, which go before all this; 0 keeps a layer as it is.

    Raises
    ------
    TrainingError
        If there is no such recipe, or a number is out of range.
    """
    if recipe not in RECIPES:
        raise TrainingError(
            f"Unknown recipe '{recipe}'.", allowed=RECIPES, hint=nearest(recipe, RECIPES)
        )
    for name, value in (("body_rate", body_rate), ("layer_decay", layer_decay)):
        if not 0 <= value < float("inf"):
            raise TrainingError(f"`{name}` is out of range.", received=value, allowed="0 or more")
    body = [model.get_layer(name) for name in models.get_body_layers(model)]
    if recipe == "probe":
        # Frozen for good: no epoch is one in which they begin to learn.
        return LayerRates({**dict.fromkeys((x.name for x in body), 0.0), **(layer_rates or {})}, 0)
    sides = [_side(layer) for layer in body]
    # From the heads to the image: 0 for vectors and the smallest maps.
    order = sorted(set(sides) - {0})
    rates = {
        layer.name: body_rate * layer_decay ** (order.index(side) if side else 0)
        for layer, side in zip(body, sides, strict=True)
    }
    if frozen_statistics:
        rates |= {x.name: 0.0 for x in body if isinstance(x, keras.layers.BatchNormalization)}
    rates |= layer_rates or {}
    return LayerRates(rates, 0 if recipe == "finetune" else frozen_epochs)


def _side(layer: Any) -> int:
    """Pixels a side of the maps that a layer makes; 0 for a vector."""
    shape = layer.output.shape
    return int(shape[1]) if len(shape) > 2 else 0

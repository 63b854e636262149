"""What a network begins with, when it does not begin at random."""

from __future__ import annotations

import json
from typing import Any

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.imaging import Inputs
from astrocnn.models.transfer import InputNames, transfer_weights
from astrocnn.targets import Task, storage

__all__ = ["begin", "facts_of"]


def begin(model: keras.Model, task: Task, inputs: Inputs, start: Any) -> dict[str, Any]:
    """Give a new network the weights of a trained estimator.

    Heads are taken for targets with the name and the family (the classes, say) of a target of the
    trained one.

    Returns
    -------
    dict
        What is remembered of it, JSON: SHA-256 of the trained estimator, names of layers.

    Raises
    ------
    ModelError
        If the weights do not fit, or it is not one trained network.
    """
    if not hasattr(start, "model_"):
        several = hasattr(start, "members")
        raise ModelError(
            "A network begins with the weights of one trained network.",
            received=type(start).__name__,
            allowed="a trained KerasEstimator",
            hint="take one of its members, or train an ensemble of as many" if several else None,
        )
    before, after = (
        {target["name"]: json.dumps(target["family"]) for target in storage.to_dict(t)["targets"]}
        for t in (start.task, task)
    )
    done = transfer_weights(
        start.model_,
        model,
        old_sees=InputNames(start.inputs.bands, start.inputs.scalars),
        new_sees=InputNames(inputs.bands, inputs.scalars),
        heads=[name for name, family in after.items() if before.get(name) == family],
    )
    return {
        "model": start.fingerprint,
        **{kind: list(names) for kind, names in done._asdict().items()},
    }


def facts_of(origin: dict[str, Any]) -> dict[str, str]:
    """The same in words."""
    said = [f"{len(origin['taken'])} layers taken"]
    if origin["adapted"]:
        said.append(f"adapted to other bands or scalars: {', '.join(origin['adapted'])}")
    if origin["fresh"]:
        said.append(f"fresh: {', '.join(origin['fresh'])}")
    return {"Began with": f"model SHA-256 {origin['model']}", "Weights": "; ".join(said)}

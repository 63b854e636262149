"""What a classical method learns of one target, and tells through the target's family."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ModelError, TrainingError
from astrocnn.targets import ClassFamily, QuantityFamily, Target

__all__ = ["METHODS", "check_target", "learn", "tell"]

METHODS = "astrocnn.estimators.methods"
"""Package whose modules are the methods."""

_FUNCTIONS = ((QuantityFamily, "values"), (ClassFamily, "probabilities"))


def check_target(target: Target, method: ModuleType) -> None:
    """Refuse a target that the method cannot predict.

    Raises
    ------
    ModelError
        Naming the methods that can.
    """
    needed = [name for kind, name in _FUNCTIONS if isinstance(target.family, kind)]
    if any(hasattr(method, name) for name in needed):
        return
    able = [
        name
        for name in plugins.module_names(METHODS)
        if any(hasattr(plugins.load_module(METHODS, name), function) for function in needed)
    ]
    raise ModelError(
        f"The method '{method.__name__.rpartition('.')[2]}' cannot predict the target "
        f"'{target.name}'.",
        received=f"family {type(target.family).__name__}",
        allowed=able or "classes and numbers",
    )


def learn(
    target: Target,
    method: ModuleType,
    x: NDArray[np.float32],
    encoded: NDArray[np.float32],
    options: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What the method learned from labelled objects: its state, and which classes there were.

    Raises
    ------
    TrainingError
        If there are too few objects, or all of one class.
    """
    if len(x) < 2:
        raise TrainingError(
            f"There are too few labelled objects for the target '{target.name}'.", received=len(x)
        )
    family = target.family
    if isinstance(family, QuantityFamily):
        return {"state": method.learn_values(x, family.to_values(encoded), options, seed)}
    assert isinstance(family, ClassFamily)
    present, y = np.unique(np.argmax(family.to_truth(encoded), axis=-1), return_inverse=True)
    if len(present) < 2:
        raise TrainingError(
            f"All labels of the target '{target.name}' are of one class.",
            received=family.classes[present[0]],
            allowed=family.classes,
        )
    return {"state": method.learn_classes(x, y, options, seed), "classes": present}


def tell(
    target: Target,
    method: ModuleType,
    learned: dict[str, Any],
    x: NDArray[np.float32],
    member: int | None,
) -> NDArray[np.float32]:
    """Activated parameters of the family, of shape (n, units); of one member if asked."""
    which = {} if member is None else {"member": member}
    family = target.family
    if isinstance(family, QuantityFamily):
        values = method.values(learned["state"], x, **which)
        return family.from_values(values).astype(np.float32)
    assert isinstance(family, ClassFamily)
    found = method.probabilities(learned["state"], x, **which)
    full = np.zeros((len(x), len(family.classes)))
    full[:, learned["classes"]] = found
    return np.asarray(family.from_probabilities(full), np.float32)

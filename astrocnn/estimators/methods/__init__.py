"""Classical methods on tables of numbers, one per file; a new file registers a method.

A module here exposes ``OPTIONS``, its options with their defaults, and one or both of two pairs of
functions.  For classes: ``fit_classes(x, y, options, seed) -> state`` and
``predict_probabilities(state, x) -> (n, n_classes)``.  For numbers:
``fit_values(x, y, options, seed) -> state`` and ``predict_values(state, x) -> (n, m)``, m equally
probable values for each object, which any family over a number turns into its own parameters.  A
state is a dict of fitted scikit-learn objects and arrays, and ``TRUSTED`` names the types in it
that skops does not know to be harmless.

A method with members exposes ``members(state)``, their number, and its functions take
``member=...``: each member is one draw.

Threads of OpenMP wait for one another thousands of times in a boosted tree.  Where they share their
processors with other work, each time costs a slice of the scheduler: 100 rounds on 300 objects took
0.2 s with one thread and 140 s with two, on two processors shared with six other processes.  So few
numbers get one thread, and what is independent (the trees of a forest, the parts of a
cross-validation, blocks of objects) gets a thread each, which wait for nobody.  No result depends
on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from joblib import cpu_count, parallel_config
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ModelError, TrainingError
from astrocnn.scheduling import find_libraries
from astrocnn.targets import ClassFamily, QuantityFamily, Target

__all__ = [
    "METHODS",
    "fit_target",
    "map_in_threads",
    "predict_target",
    "threads_for_numbers",
    "threads_for_parts",
    "validate_target",
]

METHODS = "astrocnn.estimators.methods"
"""Package whose modules are the methods."""

_FUNCTIONS = ((QuantityFamily, "predict_values"), (ClassFamily, "predict_probabilities"))
_NUMBERS_PER_THREAD = 1_000_000


def validate_target(target: Target, method: ModuleType) -> None:
    """Raise if the method cannot predict a target.

    Parameters
    ----------
    target : Target
    method : module
        A module of this folder.

    Raises
    ------
    ModelError
        Naming the methods that can.
    """
    needed = [name for kind, name in _FUNCTIONS if isinstance(target.family, kind)]

    def suits(module: ModuleType) -> bool:
        return any(hasattr(module, name) for name in needed)

    if suits(method):
        return
    names = plugins.module_names(METHODS)
    able = [name for name in names if suits(plugins.load_module(METHODS, name))]
    raise ModelError(
        f"The method '{method.__name__.rpartition('.')[2]}' cannot predict the target "
        f"'{target.name}'.",
        received=f"family {type(target.family).__name__}",
        allowed=able or "classes and numbers",
    )


def fit_target(
    target: Target,
    method: ModuleType,
    x: NDArray[np.float32],
    encoded: NDArray[np.float32],
    options: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Fit a method on labelled objects.

    Parameters
    ----------
    target, method
        As for `validate_target`.
    x : ndarray of shape (n, n_features)
    encoded : ndarray of shape (n, k)
        Labels as the family of the target encodes them, without missing ones.
    options : dict of str to object
        A value for each of the ``OPTIONS`` of the method.
    seed : int
        Seed of the fit.

    Returns
    -------
    dict
        ``"state"``, the fitted state of the method; for classes also ``"classes"``, the indices of
        those that have objects.

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
        return {"state": method.fit_values(x, family.to_values(encoded), options, seed)}
    assert isinstance(family, ClassFamily)
    present, y = np.unique(np.argmax(family.to_truth(encoded), axis=-1), return_inverse=True)
    if len(present) < 2:
        raise TrainingError(
            f"All labels of the target '{target.name}' are of one class.",
            received=family.classes[present[0]],
            allowed=family.classes,
        )
    return {"state": method.fit_classes(x, y, options, seed), "classes": present}


def predict_target(
    target: Target,
    method: ModuleType,
    fitted: dict[str, Any],
    x: NDArray[np.float32],
    member: int | None,
) -> NDArray[np.float32]:
    """Predict the parameters of the family of a target.

    Parameters
    ----------
    target, method, x
        As for `fit_target`.
    fitted : dict
        What `fit_target` returned.
    member : int or None
        Index of the member that predicts, for a method with members; None for all together.

    Returns
    -------
    ndarray of shape (n, units)
        Activated parameters: probabilities for classes.
    """
    chosen = {} if member is None else {"member": member}
    family = target.family
    if isinstance(family, QuantityFamily):
        values = method.predict_values(fitted["state"], x, **chosen)
        return family.from_values(values).astype(np.float32)
    assert isinstance(family, ClassFamily)
    p = method.predict_probabilities(fitted["state"], x, **chosen)
    full = np.zeros((len(x), len(family.classes)))
    full[:, fitted["classes"]] = p
    return np.asarray(family.from_probabilities(full), np.float32)


def _count_processors() -> int:
    """Number of usable processors: affinity, container quota and ``OMP_NUM_THREADS``."""
    libraries = find_libraries().info()
    allowed = [info["num_threads"] for info in libraries if info["user_api"] == "openmp"]
    return max(1, min([cpu_count(), *allowed]))


@contextmanager
def threads_for_parts() -> Iterator[None]:
    """Context in which scikit-learn uses the usable processors as threads."""
    with parallel_config("threading", n_jobs=_count_processors()):
        yield


@contextmanager
def threads_for_numbers(numbers: int) -> Iterator[None]:
    """Context that limits OpenMP to one thread per million numbers.

    Parameters
    ----------
    numbers : int
        Count of numbers to work on, such as objects times features; at least one thread is used.
    """
    threads = min(_count_processors(), max(1, numbers // _NUMBERS_PER_THREAD))
    with find_libraries().limit(limits=threads, user_api="openmp"):
        yield


def map_in_threads(function: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """Call a function on several pieces in parallel, each call single-threaded.

    Parameters
    ----------
    function : callable
        From a piece to its result.
    pieces : sequence
        What the function is called with.

    Returns
    -------
    list
        ``[function(piece) for piece in pieces]``.
    """

    def alone(piece: Any) -> Any:
        # The OpenMP limit holds for the thread that sets it.
        with find_libraries().limit(limits=1, user_api="openmp"):
            return function(piece)

    workers = min(_count_processors(), len(pieces))
    with find_libraries().limit(limits=1, user_api="blas"):
        if workers < 2:
            return [alone(piece) for piece in pieces]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(alone, pieces))

"""Questions that are asked only after a certain answer to another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.targets.target import Target

__all__ = ["ancestors", "check_tree", "relevance"]


def check_tree(targets: Sequence[Target]) -> None:
    """Refuse questions that depend on what is not there, or on each other in a circle.

    Raises
    ------
    ConfigError
        If the question or its answer does not exist, or a question depends on itself.
    """
    by_name = {target.name: target for target in targets}
    for target in targets:
        if target.depends_on is None:
            continue
        name, _, answer = target.depends_on.partition(".")
        if name not in by_name:
            raise ConfigError(
                f"Question '{target.name}' depends on '{name}', which is no question.",
                allowed=by_name,
                hint=plugins.nearest(name, by_name),
            )
        answers = getattr(by_name[name].family, "classes", ())
        if answer not in answers:
            raise ConfigError(
                f"Question '{target.name}' depends on an answer '{answer}' that '{name}' "
                "does not have.",
                allowed=answers,
                hint=plugins.nearest(answer, answers),
            )
    for target in targets:
        seen = [target.name]
        while (parent := by_name[seen[-1]].depends_on) is not None:
            seen.append(parent.partition(".")[0])
            if seen[-1] in seen[:-1]:
                raise ConfigError(
                    "Questions depend on each other in a circle.", received=" -> ".join(seen)
                )


def ancestors(targets: Sequence[Target], target: Target) -> tuple[tuple[Target, int], ...]:
    """The questions up the tree, each with the number of the answer that leads down.

    Empty where the question depends on none, or on one that is not among the targets.
    """
    by_name = {other.name: other for other in targets}
    found: list[tuple[Target, int]] = []
    while target.depends_on is not None:
        name, _, answer = target.depends_on.partition(".")
        if name not in by_name or len(found) == len(by_name):
            return ()
        target = by_name[name]
        found.append((target, getattr(target.family, "classes", ()).index(answer)))
    return tuple(found)


def relevance(
    above: Sequence[tuple[Target, int]], samples: Mapping[str, NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Expected fraction of people who come to be asked a question, of shape (n,).

    The product of the fractions of the answers that lead to it, within each draw, then the mean
    over draws; NaN where one of those questions has no prediction.

    Parameters
    ----------
    above : sequence of (Target, int)
        As `ancestors` gives them.
    samples : mapping of str to ndarray of shape (n_draws, n, units)
        Activated samples by target.
    """
    total: NDArray[np.float64] | None = None
    n_draws = len(samples[above[0][0].name])
    for draw in range(n_draws):
        product = np.ones(samples[above[0][0].name].shape[1])
        for target, answer in above:
            family = target.family
            one = samples[target.name][draw : draw + 1]
            product *= family.to_probabilities(one)[0, :, answer]  # type: ignore[attr-defined]
        total = product if total is None else total + product
    assert total is not None
    return (total / n_draws).astype(np.float32)

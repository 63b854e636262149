"""Photometric redshift, as a density p(z).

A run file says, for instance::

    [task]
    name = "photoz"
    column = "z_spec"
    range = [0.0, 0.4]
    family = "binned"
    n_bins = 180
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astrocnn.targets.task import Task
from astrocnn.targets.tasks._quantity import quantity

__all__ = ["task"]


def task(
    *,
    column: str = "z",
    family: str = "binned",
    range: Sequence[float] = (0.0, 0.4),
    n_bins: int = 180,
    components: int | None = None,
    loss: str | None = None,
    map: Mapping[str, str] | None = None,
    target: str = "z",
    headline: str | None = None,
) -> Task:
    """The density p(z) of the redshift of each object.

    Parameters
    ----------
    column : str
        Column of the catalogue with spectroscopic redshifts.  Those outside `range`, among them
        -1, -99 and the like, count as no label, with a warning that says how many.
    family : str
        ``"binned"`` (softmax over bins), ``"mixture"`` (of normal densities) or ``"gaussian"``.
    range : (float, float)
        Least and greatest redshift.
    n_bins : int
        Number of equal bins; for mixture and gaussian those in which the density is written.
    components : int, optional
        Number of normal densities of a mixture, 5 when left out.
    loss : str, optional
        ``"nll"``, the negative log likelihood, when left out; for binned also ``"crps"``.
    map : mapping of str to str, optional
        Value in the catalogue to redshift; ``""`` means "no label".
    target : str
        Name of the target: the prefix of its columns.
    headline : str, optional
        The score quoted first; sigma_MAD when left out.

    Raises
    ------
    ConfigError
        If an option is wrong.

    Examples
    --------
    >>> task(family="mixture", range=(0.0, 3.0), components=4).target("z").family.units
    12
    """
    options = {
        "column": column,
        "family": family,
        "range": range,
        "n_bins": n_bins,
        "components": components,
        "loss": loss,
        "map": map,
    }
    only = quantity(target, options, "redshift")
    return Task("photoz", (only,), headline or f"{target}.sigma_mad")

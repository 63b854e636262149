"""Photometric redshift, as a density p(z).

In a run file::

    [task]
    name = "photoz"
    column = "z_spec"
    range = [0.0, 0.4]
    family = "binned"
    n_bins = 180
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrocnn.targets.task import Task
from astrocnn.targets.tasks.base import build_quantity

__all__ = ["task"]


def task(
    *,
    column: str = "z",
    family: str = "binned",
    range: Sequence[float] = (0.0, 0.4),
    map: Mapping[str, str] | None = None,
    target: str = "z",
    headline: str | None = None,
    **options: Any,
) -> Task:
    """The density p(z) of the redshift of each object.

    Parameters
    ----------
    column : str
        Column of the catalogue with spectroscopic redshifts.  Those outside `range`, among them
        -1, -99 and the like, count as missing labels; a warning gives their number.
    family : str
        ``"binned"`` (softmax over bins), ``"mixture"`` (of normal densities), ``"gaussian"``, or
        another family over a number.
    range : (float, float)
        Least and greatest redshift.
    map : mapping of str to str, optional
        Value in the catalogue to redshift; ``""`` means "no label".
    target : str
        Name of the target: the prefix of its columns.
    headline : str, optional
        The score quoted first; sigma_MAD when left out.
    **options
        Those of the family: ``n_bins`` (180 when left out; for mixture and gaussian the bins in
        which the density is written), ``components`` of a mixture (5), ``loss`` of a binned
        density (``"nll"``, the negative log likelihood, or ``"crps"``).

    Raises
    ------
    ConfigError
        If an option is wrong.

    Examples
    --------
    >>> task(family="mixture", range=(0.0, 3.0), components=4).target("z").family.units
    12
    """
    options |= {"column": column, "family": family, "range": range, "map": map}
    quantity = build_quantity(target, options, relative_errors=True, ucd="src.redshift.phot")
    return Task("photoz", (quantity,), headline or f"{target}.sigma_mad")

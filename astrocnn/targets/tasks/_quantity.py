"""A number to be predicted, with the family of its density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.targets.families import Binned, Family, Gaussian, Mixture
from astrocnn.targets.target import Target

__all__ = ["quantity"]

_OPTIONS = ("column", "range", "family", "n_bins", "components", "loss", "map", "weight")
_FAMILIES = ("binned", "mixture", "gaussian")
_LOSSES = ("nll", "crps")


def quantity(name: str, options: Mapping[str, Any], chapter: str) -> Target:
    """A target that is a number, from a mapping of options.

    Parameters
    ----------
    name : str
        Of the target.
    options : mapping
        ``column``, ``range`` (two numbers), ``family`` (``"gaussian"`` when left out),
        ``n_bins``, ``components`` (of a mixture), ``loss`` (of a binned density), ``map``,
        ``weight``.
    chapter : str
        ``"redshift"`` or ``"regression"``.

    Raises
    ------
    ConfigError
        If an option is unknown, missing, or not one of this family.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"The value '{name}' needs a table of options.",
            received=repr(options),
            hint=f'{{ column = "{name}", range = [-5, 10] }}',
        )
    for key in options:
        if key not in _OPTIONS:
            raise ConfigError(
                f"The value '{name}' has no option '{key}'.",
                allowed=_OPTIONS,
                hint=plugins.nearest(key, _OPTIONS),
            )
    if not isinstance(options.get("column"), str):
        raise ConfigError(
            f"The value '{name}' needs the column that holds it.",
            received=repr(options.get("column")),
            hint=f'column = "{name}"',
        )
    return Target(
        name,
        _family(name, {k: v for k, v in options.items() if v is not None}, chapter),
        options["column"],
        map=options.get("map"),
        weight=options.get("weight", 1.0),
    )


def _family(name: str, options: Mapping[str, Any], chapter: str) -> Family:
    ends = options.get("range")
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        raise ConfigError(
            f"The value '{name}' needs the range in which it lies.",
            received=repr(ends),
            hint="range = [-5, 10]",
        )
    low, high = ends
    kind = options.get("family", "gaussian")
    if kind not in _FAMILIES:
        raise ConfigError(
            f"There is no family '{kind}' over a number.",
            allowed=_FAMILIES,
            hint=plugins.nearest(str(kind), _FAMILIES),
        )
    loss = options.get("loss", "nll")
    if loss not in _LOSSES:
        raise ConfigError(f"There is no loss '{loss}' of the value '{name}'.", allowed=_LOSSES)
    if loss != "nll" and kind != "binned":
        raise ConfigError(
            f"The loss '{loss}' is one of the family 'binned'.",
            received=f"family = '{kind}'",
            hint='family = "binned", or loss = "nll"',
        )
    if "components" in options and kind != "mixture":
        raise ConfigError(
            "Only a mixture has components.",
            received=f"family = '{kind}', components = {options['components']}",
            hint='family = "mixture"',
        )
    n_bins = options.get("n_bins", 180)
    if kind == "binned":
        return Binned(low, high, n_bins, chapter, loss)
    if kind == "mixture":
        return Mixture(low, high, options.get("components", 5), n_bins, chapter)
    return Gaussian(low, high, n_bins, chapter)

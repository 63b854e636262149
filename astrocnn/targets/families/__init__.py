"""Predictive distributions of one quantity: label encoding, head, loss, summaries, columns.

One family a file.  Importing this folder imports no Keras: it is loaded when a family is first
trained or applied.
"""

from __future__ import annotations

from astrocnn.targets.families._quantity import QuantityFamily
from astrocnn.targets.families.base import ClassFamily, DiscreteFamily, Family
from astrocnn.targets.families.bernoulli import Bernoulli
from astrocnn.targets.families.binned import Binned
from astrocnn.targets.families.categorical import Categorical
from astrocnn.targets.families.dirichlet_multinomial import DirichletMultinomial
from astrocnn.targets.families.gaussian import Gaussian
from astrocnn.targets.families.mixture import Mixture

__all__ = [
    "Bernoulli",
    "Binned",
    "Categorical",
    "ClassFamily",
    "DirichletMultinomial",
    "DiscreteFamily",
    "Family",
    "Gaussian",
    "Mixture",
    "QuantityFamily",
]

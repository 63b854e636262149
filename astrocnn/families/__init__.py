"""Predictive distributions of one quantity: label encoding, head, loss, summaries, columns.

One family a file.  Importing this folder imports no Keras; `activate` and `loss` do when called.
"""

from __future__ import annotations

from astrocnn.families._labels import as_text
from astrocnn.families._numbers import as_numbers
from astrocnn.families.base import ClassFamily, Column, Family, OutputColumn, QuantityFamily
from astrocnn.families.bernoulli import Bernoulli
from astrocnn.families.binned import Binned
from astrocnn.families.categorical import Categorical
from astrocnn.families.dirichlet_multinomial import DirichletMultinomial
from astrocnn.families.gaussian import Gaussian
from astrocnn.families.mixture import Mixture

__all__ = [
    "Bernoulli",
    "Binned",
    "Categorical",
    "ClassFamily",
    "Column",
    "DirichletMultinomial",
    "Family",
    "Gaussian",
    "Mixture",
    "OutputColumn",
    "QuantityFamily",
    "as_numbers",
    "as_text",
]

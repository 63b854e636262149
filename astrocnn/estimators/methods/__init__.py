"""Classical learners of numbers, one method a file; the file is the registration.

A module here exposes ``OPTIONS``, its options with their defaults, and one or both of two pairs of
functions.  For classes: ``learn_classes(x, y, options, seed) -> state`` and
``probabilities(state, x) -> (n, n_classes)``.  For numbers: ``learn_values(x, y, options, seed) ->
state`` and ``values(state, x) -> (n, m)``, m equally probable values for each object, which any
family over a number turns into its own parameters.  A state is a dict of fitted scikit-learn
objects and arrays, and ``TRUSTED`` names the types in it that skops does not know to be harmless.

A method with members exposes ``members(state)``, their number, and its functions take
``member=...``: each member is one draw.
"""

from __future__ import annotations

__all__: list[str] = []

"""One architecture a file; the file is the registration.

A module here exposes ``features(image, scalars, block)``, tensors in and a feature tensor of shape
(batch, n) out, made only of the layers of `astrocnn.models.blocks.Block`; ``REFERENCE``, the size
and the number of parameters in its paper; ``HEAD_DROPOUT`` when the paper has a dropout layer
between the features and the head; and ``IMAGE = False`` when it takes scalars only.
`astrocnn.models.build` adds that dropout and the heads.
"""

from __future__ import annotations

__all__: list[str] = []

"""Networks written in backend-neutral Keras.

An architecture is a file in ``architectures/`` that turns an image into features through a
`Block`, independent of the task.  `build_model` adds the heads of a task, `FamilyLoss` is the loss
of a head for ``model.compile``, `transfer_weights` starts from the weights of a trained network,
`load_pretrained` from published ones,
and `MonteCarloDropout` samples from it by consistent Monte-Carlo dropout.

Names are resolved on first use: listing architectures or checking `Options` imports no Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.models.options import Options
from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.models.blocks import Block
    from astrocnn.models.build import (
        FamilyLoss,
        add_auxiliary_heads,
        build_model,
        count_parameters,
        smallest_size,
    )
    from astrocnn.models.monte_carlo_dropout import (
        MonteCarloDropout,
        build_sampler,
    )
    from astrocnn.models.precision import with_precision
    from astrocnn.models.pretrained import Pretrained, load_pretrained, read_pretrained
    from astrocnn.models.summary import LayerSummary, summarize_layers
    from astrocnn.models.transfer import (
        InputNames,
        TransferSummary,
        get_body_layers,
        transfer_weights,
    )

__all__ = [
    "Block",
    "FamilyLoss",
    "InputNames",
    "LayerSummary",
    "MonteCarloDropout",
    "Options",
    "Pretrained",
    "TransferSummary",
    "add_auxiliary_heads",
    "build_model",
    "build_sampler",
    "count_parameters",
    "get_body_layers",
    "load_pretrained",
    "read_pretrained",
    "smallest_size",
    "summarize_layers",
    "transfer_weights",
    "with_precision",
]

_NAMES = {
    "blocks": ("Block",),
    "build": (
        "FamilyLoss", "add_auxiliary_heads", "build_model", "count_parameters", "smallest_size",
    ),
    "monte_carlo_dropout": ("MonteCarloDropout", "build_sampler"),
    "precision": ("with_precision",),
    "pretrained": ("Pretrained", "load_pretrained", "read_pretrained"),
    "summary": ("LayerSummary", "summarize_layers"),
    "transfer": ("InputNames", "TransferSummary", "get_body_layers", "transfer_weights"),
}  # fmt: skip

__getattr__ = lazy(__name__, {name: home for home, names in _NAMES.items() for name in names})

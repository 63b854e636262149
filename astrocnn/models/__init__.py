"""How a prediction is made: networks written in backend-neutral Keras.

An architecture is a file in ``architectures/`` that turns an image into features through a
`Block`, and knows no task.  `build` puts the heads of a task on it, `loss_for` trains them, and
`Stochastic` draws from it by consistent Monte-Carlo dropout.

Names are resolved on first use: listing architectures or checking `Options` imports no Keras.  Two
functions are not repeated here because their names belong to their modules:
`astrocnn.models.build.build`, and `astrocnn.models.transfer.transfer`, by which a network begins
with the weights of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.models.options import Options
from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.models.blocks import Block
    from astrocnn.models.build import count_parameters, smallest_size
    from astrocnn.models.losses import FamilyLoss, loss_for
    from astrocnn.models.monte_carlo_dropout import Stochastic, in_blocks
    from astrocnn.models.precision import with_precision
    from astrocnn.models.summary import LayerSummary, summarize_layers
    from astrocnn.models.transfer import Seen, Transferred, body

__all__ = [
    "Block",
    "FamilyLoss",
    "LayerSummary",
    "Options",
    "Seen",
    "Stochastic",
    "Transferred",
    "body",
    "count_parameters",
    "in_blocks",
    "loss_for",
    "smallest_size",
    "summarize_layers",
    "with_precision",
]

_HOME = {
    "Block": "blocks",
    "FamilyLoss": "losses",
    "LayerSummary": "summary",
    "Seen": "transfer",
    "Stochastic": "monte_carlo_dropout",
    "Transferred": "transfer",
    "body": "transfer",
    "count_parameters": "build",
    "in_blocks": "monte_carlo_dropout",
    "loss_for": "losses",
    "smallest_size": "build",
    "summarize_layers": "summary",
    "with_precision": "precision",
}


__getattr__ = lazy(__name__, _HOME)

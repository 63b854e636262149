"""See inside a network: what it learned, and which pixels made it decide so.

A method is a file in ``methods/``: a function of a Keras model, normalized images and the `Output`
to be explained that returns arrays.  A network of scalars is seen as one of images by `as_strip`.
Figures are made elsewhere.
"""

from __future__ import annotations

from astrocnn.explain.methods.class_image import class_image
from astrocnn.explain.methods.deconvnet import deconvnet
from astrocnn.explain.methods.deep_dream import deep_dream
from astrocnn.explain.methods.embedding import (
    Embedding,
    embed,
    embedding,
    layer_vectors,
)
from astrocnn.explain.methods.feature_maps import feature_maps
from astrocnn.explain.methods.grad_cam import grad_cam
from astrocnn.explain.methods.integrated_gradients import (
    IntegratedGradients,
    integrated_gradients,
)
from astrocnn.explain.methods.occlusion import Occlusion, occlusion
from astrocnn.explain.methods.saliency import saliency
from astrocnn.explain.methods.smooth_grad import smooth_grad
from astrocnn.explain.methods.top_activations import (
    TopActivations,
    patches,
    top_activations,
)
from astrocnn.explain.methods.weights import weights
from astrocnn.explain.output import Explained, Output, Response
from astrocnn.explain.strip import as_strip
from astrocnn.explain.uncertainty import Uncertainty

__all__ = [
    "METHODS",
    "Embedding",
    "Explained",
    "IntegratedGradients",
    "Occlusion",
    "Output",
    "Response",
    "TopActivations",
    "Uncertainty",
    "as_strip",
    "class_image",
    "deconvnet",
    "deep_dream",
    "embed",
    "embedding",
    "feature_maps",
    "grad_cam",
    "integrated_gradients",
    "layer_vectors",
    "occlusion",
    "patches",
    "saliency",
    "smooth_grad",
    "top_activations",
    "weights",
]

METHODS = "astrocnn.explain.methods"
"""Package whose modules are the methods."""

"""Explain a network: which pixels or inputs decide, whether the maps hold, what the layers compute.

`ExplainTarget` is the explained output.  A method is a file of `astrocnn.explain.methods`;
of a Keras model, normalized images and a target it returns arrays.  A network of scalars is
explained as one of images one pixel high (`as_strip`).  `astrocnn.explain.checks` tests maps, and
`astrocnn.explain.figures` plots them.  For a run, `compute_attribution` fills an `Attribution`,
`Explanation` holds all of them with the objects, and ``files`` and ``chapters`` write and show it.
"""

from __future__ import annotations

from astrocnn.explain.attribution import (
    Attribution,
    ExplainedObjects,
    Explanation,
    MapChecks,
    Scalars,
    compute_attribution,
)
from astrocnn.explain.methods import METHODS, AttributionMethod, InspectionMethod
from astrocnn.explain.methods.class_image import class_image
from astrocnn.explain.methods.deconvnet import deconvnet
from astrocnn.explain.methods.deep_dream import deep_dream
from astrocnn.explain.methods.embedding import Embedding, embed, embedding, layer_vectors
from astrocnn.explain.methods.feature_maps import feature_maps
from astrocnn.explain.methods.grad_cam import grad_cam
from astrocnn.explain.methods.integrated_gradients import IntegratedGradients, integrated_gradients
from astrocnn.explain.methods.occlusion import Occlusion, occlusion
from astrocnn.explain.methods.saliency import saliency
from astrocnn.explain.methods.smooth_grad import smooth_grad
from astrocnn.explain.methods.top_activations import TopActivations, patches, top_activations
from astrocnn.explain.methods.weights import weights
from astrocnn.explain.network import as_strip, compute_scores
from astrocnn.explain.target import ExplainTarget

__all__ = [
    "METHODS",
    "Attribution",
    "AttributionMethod",
    "Embedding",
    "ExplainTarget",
    "ExplainedObjects",
    "Explanation",
    "InspectionMethod",
    "IntegratedGradients",
    "MapChecks",
    "Occlusion",
    "Scalars",
    "TopActivations",
    "as_strip",
    "class_image",
    "compute_attribution",
    "compute_scores",
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

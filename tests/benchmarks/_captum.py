"""Captum on the same chain of layers in PyTorch, in a process of its own.

``python -m tests.benchmarks._captum DESCRIPTION``, where the description is JSON: the layers of a
Keras network without branches, sizes and numbers.  Prints the median seconds of captum and of the
passes that it cannot do without.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import captum.attr
import torch
from torch import nn

from tests.benchmarks._table import seconds

__all__: list[str] = []

_REPEATS = 3


def _chain(layers: list[dict[str, Any]]) -> nn.Sequential:
    made: list[nn.Module] = []
    for layer in layers:
        kind, about = layer["class"], layer["config"]
        if kind == "Conv2D":
            made += [nn.LazyConv2d(about["filters"], about["kernel_size"], padding="same")]
        elif kind == "MaxPooling2D":
            made += [nn.MaxPool2d(about["pool_size"])]
        elif kind == "Flatten":
            made += [nn.Flatten()]
        elif kind == "Dense":
            made += [nn.LazyLinear(about["units"])]
        elif kind not in ("InputLayer", "Dropout"):
            raise SystemExit(f"no such layer here: {kind}")
        if about.get("activation") == "relu":
            made += [nn.ReLU()]
    return nn.Sequential(*made)


def main(about: dict[str, Any]) -> dict[str, float]:
    """Seconds by job."""
    torch.manual_seed(0)
    size, bands, n, batch = (about[key] for key in ("size", "bands", "images", "batch"))
    images = torch.randn(n, bands, size, size)
    model = _chain(about["layers"]).eval()
    model(images)
    for weights in model.parameters():
        weights.requires_grad_(False)  # only the images are derived by, as they are in ours

    def blocks(total: int) -> list[torch.Tensor]:
        block = torch.randn(batch, bands, size, size)
        return [block[: min(batch, total - start)] for start in range(0, total, batch)]

    def forward() -> None:
        with torch.no_grad():
            for block in blocks(n * (about["patches"] + 1)):
                model(block)

    def backward() -> None:
        for block in blocks(n * about["points"]):
            there = block.clone().requires_grad_(True)
            torch.autograd.grad(model(there)[:, 1].sum(), there)

    hidden = captum.attr.Occlusion(model)
    square = (bands, about["square"], about["square"])
    strides = (bands, about["stride"], about["stride"])
    integrated = captum.attr.IntegratedGradients(model)
    return {
        "forward": seconds(forward, _REPEATS),
        "occlusion": seconds(
            lambda: hidden.attribute(
                images, square, strides, target=1, perturbations_per_eval=max(1, batch // n)
            ),
            _REPEATS,
        ),
        "backward": seconds(backward, _REPEATS),
        "integrated": seconds(
            lambda: integrated.attribute(
                images, target=1, n_steps=about["points"], internal_batch_size=batch
            ),
            _REPEATS,
        ),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))

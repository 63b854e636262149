"""Published networks in plain numpy: independent of Keras, slow, for images of few pixels.

``take(name, *shape)`` gives a tensor in the names and the order of axes of PyTorch.  Images are
(channels, height, width).
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf


def convolve(x, kernel, bias=None, *, stride=1, pad=(0, 0), groups=1):
    """Cross-correlation of (c, h, w) with (out, in, k, k), zeros on both sides."""
    x = np.pad(x, ((0, 0), pad, pad))
    k = kernel.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]
    if groups == 1:
        y = np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)
    else:
        y = np.einsum("chwij,cij->chw", windows, kernel[:, 0], optimize=True)
    return y if bias is None else y + bias[:, None, None]


def batch_norm(x, take, name, epsilon):
    factor, shift, mean, variance = (
        take(f"{name}.{part}", len(x))[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + epsilon) * factor + shift


def layer_norm(x, take, name):
    y = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6)
    shape = (-1, *[1] * (x.ndim - 1))
    factor, shift = (take(f"{name}.{part}", len(x)) for part in ("weight", "bias"))
    return y * factor.reshape(shape) + shift.reshape(shape)


def resnet(x, take, depths, bottleneck):
    """torchvision.models.resnet, version 1.5."""

    def conv(x, name, n, k, stride=1):
        kernel = take(f"{name}.weight", n, len(x), k, k)
        return convolve(x, kernel, stride=stride, pad=(k // 2,) * 2)

    def norm(x, name):
        return batch_norm(x, take, name, 1e-5)

    x = np.maximum(norm(conv(x, "conv1", 64, 7, 2), "bn1"), 0)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    x = windows[:, ::2, ::2].max((-1, -2))
    for stage, depth in enumerate(depths):
        for number in range(depth):
            name, n = f"layer{stage + 1}.{number}", 64 * 2**stage
            stride = 2 if stage and not number else 1
            shapes = (
                ((n, 1, 1), (n, 3, stride), (4 * n, 1, 1))
                if bottleneck
                else ((n, 3, stride), (n, 3, 1))
            )
            y = x
            for k, shape in enumerate(shapes, 1):
                y = norm(conv(y, f"{name}.conv{k}", *shape), f"{name}.bn{k}")
                y = np.maximum(y, 0) if k < len(shapes) else y
            if x.shape != y.shape:
                x = conv(x, f"{name}.downsample.0", len(y), 1, stride)
                x = norm(x, f"{name}.downsample.1")
            x = np.maximum(x + y, 0)
    return x.mean((1, 2))


def convnext(x, take, depths, filters):
    """timm's convnext."""

    def dense(x, name, n):
        kernel, bias = take(f"{name}.weight", n, len(x)), take(f"{name}.bias", n)
        return np.einsum("oc,chw->ohw", kernel, x, optimize=True) + bias[:, None, None]

    def patches(x, name, n, k):
        kernel, bias = take(f"{name}.weight", n, len(x), k, k), take(f"{name}.bias", n)
        return convolve(x, kernel, bias, stride=k)

    x = layer_norm(patches(x, "stem.0", filters, 4), take, "stem.1")
    for stage, depth in enumerate(depths):
        n = filters * 2**stage
        if stage:
            name = f"stages.{stage}.downsample"
            x = patches(layer_norm(x, take, f"{name}.0"), f"{name}.1", n, 2)
        for number in range(depth):
            name = f"stages.{stage}.blocks.{number}"
            kernel = take(f"{name}.conv_dw.weight", n, 1, 7, 7)
            y = convolve(x, kernel, take(f"{name}.conv_dw.bias", n), pad=(3, 3), groups=n)
            y = dense(layer_norm(y, take, f"{name}.norm"), f"{name}.mlp.fc1", 4 * n)
            y = dense(0.5 * y * (1 + erf(y / np.sqrt(2))), f"{name}.mlp.fc2", n)
            x = x + y * take(f"{name}.gamma", n)[:, None, None]
    return layer_norm(x.mean((1, 2)), take, "head.norm")


def efficientnet_lite(x, take, stages):
    """Lite with the padding of TensorFlow; blocks, window, stride, expansion, filters by stage."""

    def block(x, name, norm, n, k, stride=1, depthwise=False, act=True):
        side = x.shape[1]
        total = max((-(-side // stride) - 1) * stride + k - side, 0)
        kernel = take(f"{name}.weight", n, 1 if depthwise else len(x), k, k)
        pad = (total // 2, total - total // 2)
        y = convolve(x, kernel, stride=stride, pad=pad, groups=n if depthwise else 1)
        y = batch_norm(y, take, norm, 1e-3)
        return np.clip(y, 0, 6) if act else y

    x = block(x, "_conv_stem", "_bn0", 32, 3, 2)
    number = 0
    for depth, k, first, expansion, n in stages:
        for k_th in range(depth):
            place, wide, y = f"_blocks.{number}", expansion * len(x), x
            if expansion > 1:
                y = block(y, f"{place}._expand_conv", f"{place}._bn0", wide, 1)
            stride = first if k_th == 0 else 1
            y = block(y, f"{place}._depthwise_conv", f"{place}._bn1", wide, k, stride, True)
            y = block(y, f"{place}._project_conv", f"{place}._bn2", n, 1, act=False)
            x = x + y if x.shape == y.shape else y
            number += 1
    return block(x, "_conv_head", "_bn1", 1280, 1).mean((1, 2))


class RandomTensors(dict):
    """Tensors that are made when they are asked for the first time; `take` is `get_tensor`."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def get_tensor(self, name, *shape):
        if name not in self:
            self[name] = self._make(name, shape).astype("f4")
        assert self[name].shape in (shape, (*shape, 1, 1)), name
        return self[name].astype("f8")

    def _make(self, name, shape):
        if name.endswith("running_var"):
            return self.rng.uniform(0.5, 2, shape)
        if len(shape) > 1:
            return self.rng.normal(size=shape) * np.sqrt(1.5 / np.prod(shape[1:]))
        center = 0.5 if name.endswith("gamma") else float(name.endswith("weight"))
        return center + 0.2 * self.rng.normal(size=shape)

"""``astrocnn summary``: the network of a run, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from astrocnn import models
from astrocnn.backend import load_tensorflow
from astrocnn.runs.run import Run
from astrocnn.runs.sections import RunConfig

__all__ = ["run"]


def run(config: RunConfig) -> Iterator[Table | str]:
    """Shapes, parameters, multiply-adds, receptive fields and memory.

    Raises
    ------
    ConfigError
        If the run has no network.
    """
    current = Run(config)
    current.require_network()
    scale = current.source.pixel_scale
    load_tensorflow()
    model = current.network
    title = f"{model.name}: {model.count_params():,} parameters"
    # Narrow, so that a line of a deep network is a line of a terminal of 80 columns.
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("layer", "output", "parameters", "multiply-adds", "sees px", "arcsec", "kB"):
        table.add_column(name, justify="left" if name in ("layer", "output") else "right")
    layers = models.summarize_layers(model)
    for layer in layers:
        field = layer.receptive_field
        table.add_row(
            layer.name,
            "x".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            "" if field is None else str(field),
            "" if field is None or scale is None else f"{field * scale:.1f}",
            f"{layer.memory / 1000:,.1f}",
        )
    yield table
    multiply_adds, memory = (
        sum(getattr(layer, f) for layer in layers) for f in ("multiply_adds", "memory")
    )
    yield f"{_millions(multiply_adds)} million multiply-adds and {_millions(memory)} MB an object"


def _millions(value: int) -> str:
    return f"{value / 1e6:,.0f}" if value >= 1e8 else f"{value / 1e6:.3g}"

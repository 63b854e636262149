"""``astrocnn summary``: the network of a run, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from astrocnn import models
from astrocnn.backend import load_tensorflow
from astrocnn.runs.run import Run
from astrocnn.runs.sections import RunConfig
from astrocnn.terminal import build_table

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
    columns = ("layer", "output", "parameters", "multiply-adds", "field px", "arcsec", "kB")
    table = build_table(title, columns, left=("layer", "output"))
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
    operations = _format(multiply_adds, ("", " thousand", " million", " billion"))
    size = _format(memory, (" bytes", " kB", " MB", " GB"))
    yield f"{operations} multiply-adds and {size} of memory for each object"


def _format(value: int, units: tuple[str, ...]) -> str:
    """A number with three digits and the unit that suits it, each 1000 of the one before.

    >>> _format(1950, ("", " thousand", " million"))
    '1.95 thousand'
    """
    power = min(len(str(value)) - 1, 3 * len(units) - 1) // 3
    scaled = value / 1000**power
    # A mantissa from 999.5 on rounds up to 1000, of which ".3g" makes 1e+03.
    return f"{scaled:.3g}{units[power]}" if scaled < 999.5 else f"{scaled:,.0f}{units[power]}"

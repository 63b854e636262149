"""Predictions at the scale of a catalogue: the resumable engine and the FITS table."""

from __future__ import annotations

from astrocnn.prediction.engine import predict, predict_rows
from astrocnn.prediction.plan import Plan, parse_worker
from astrocnn.prediction.table import TableWriter
from astrocnn.prediction.table_column import TableColumn
from astrocnn.prediction.table_export import to_csv, to_parquet

__all__ = [
    "Plan",
    "TableColumn",
    "TableWriter",
    "parse_worker",
    "predict",
    "predict_rows",
    "to_csv",
    "to_parquet",
]

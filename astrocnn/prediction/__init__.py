"""Predictions at the scale of a catalogue: the resumable engine and the FITS table."""

from __future__ import annotations

from astrocnn.column import Column
from astrocnn.prediction.batch import Batch, Extra
from astrocnn.prediction.engine import predict
from astrocnn.prediction.pdf import PDF_FORMS, read_pdf
from astrocnn.prediction.pdf.ensemble_file import to_qp
from astrocnn.prediction.plan import Plan, parse_worker
from astrocnn.prediction.rows import predict_rows
from astrocnn.prediction.selecting import Cleaned, cleaned, write_cleaned
from astrocnn.prediction.table import TableWriter
from astrocnn.prediction.table_export import to_csv, to_parquet

__all__ = [
    "PDF_FORMS",
    "Batch",
    "Cleaned",
    "Extra",
    "Plan",
    "Column",
    "TableWriter",
    "cleaned",
    "parse_worker",
    "predict",
    "predict_rows",
    "read_pdf",
    "to_csv",
    "to_parquet",
    "to_qp",
    "write_cleaned",
]

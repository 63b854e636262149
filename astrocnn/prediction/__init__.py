"""Prediction of whole catalogues: the resumable engine and the FITS table."""

from __future__ import annotations

from astrocnn.calibration import Batch, Extra
from astrocnn.column import Column
from astrocnn.prediction.chunks import Plan, parse_worker
from astrocnn.prediction.embedding import embed
from astrocnn.prediction.engine import predict
from astrocnn.prediction.objects import predict_objects
from astrocnn.prediction.partitions import predict_partitions
from astrocnn.prediction.pdf import PDF_FORMS, read_pdf
from astrocnn.prediction.predictions import Predictions, read_predictions
from astrocnn.prediction.selection import SelectedCatalog, select_objects, write_selected
from astrocnn.prediction.table_formats import to_csv, to_parquet, to_qp
from astrocnn.prediction.table_writer import TableWriter

__all__ = [
    "PDF_FORMS",
    "Batch",
    "Column",
    "Extra",
    "Plan",
    "Predictions",
    "SelectedCatalog",
    "TableWriter",
    "embed",
    "parse_worker",
    "predict",
    "predict_objects",
    "predict_partitions",
    "read_pdf",
    "read_predictions",
    "select_objects",
    "to_csv",
    "to_parquet",
    "to_qp",
    "write_selected",
]

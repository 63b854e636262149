"""Catalogues: tables whose columns have roles.

`read_catalog` opens a FITS, VOTable, ECSV, text or Parquet table; `Catalog.from_table` takes one
that is already in memory.  Identifiers are int64 or text and never pass through a float.
`astrocnn.catalog.splits` divides rows into training, validation and test by a hash.
"""

from __future__ import annotations

from astrocnn.catalog.catalog import Catalog
from astrocnn.catalog.coverage import COVERAGE_ORDER, write_coverage
from astrocnn.catalog.joining import FILE, join_catalogs
from astrocnn.catalog.partitions import Partition, PartitionedCatalog
from astrocnn.catalog.readers import read_catalog
from astrocnn.catalog.roles import Roles
from astrocnn.catalog.splits import (
    SPLITS,
    assign_file_splits,
    assign_splits,
    compute_sky_keys,
    group_duplicates,
)
from astrocnn.catalog.validation import CatalogWarning

__all__ = [
    "COVERAGE_ORDER",
    "FILE",
    "SPLITS",
    "Catalog",
    "CatalogWarning",
    "Partition",
    "PartitionedCatalog",
    "Roles",
    "assign_file_splits",
    "group_duplicates",
    "join_catalogs",
    "read_catalog",
    "compute_sky_keys",
    "assign_splits",
    "write_coverage",
]

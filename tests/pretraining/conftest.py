"""The small sky of the estimators."""

from __future__ import annotations

from tests.estimators.conftest import inputs, shards, task

__all__ = ["inputs", "shards", "task"]

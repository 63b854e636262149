"""Tests, which mirror the package."""

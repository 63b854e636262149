"""Hyper-parameter search: many runs that differ in a few values.

A search is a folder of plain runs.  Each module here does one part of it: `ranges` and `space` say
which values are tried, `refusals` what cannot be, `folder` keeps the trials on disk, `worker`
trains them, `suggestions` asks Optuna, and `table` tells what was found.
"""

"""Hyper-parameter search: many runs that differ in a few values.

A search is a folder of plain runs.  Each module here does one part of it: `ranges` and `space` say
which values are tried, `refusals` what cannot be, `folder` and `trial` keep it on disk,
`worker` trains, `suggestions` asks Optuna, and `table` tells what was found.
"""

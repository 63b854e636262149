"""Hyper-parameter search: many runs that differ in a few values.

A search is a folder of plain runs.  `section` is its table of the run file, `validation` refuses
what cannot work, `folder` keeps it on disk, `sampling` chooses the values of each trial, `worker`
trains the trials, and `results` ranks them.
"""

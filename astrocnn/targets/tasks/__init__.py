"""Kinds of tasks: one file each, with a function ``task(**options) -> Task``."""

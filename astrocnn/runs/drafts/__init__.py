"""Drafts of survey files and run files, from images and a catalogue that are there.

`image_planes` says what each HDU of a file is, `stamps` and `tiles` make bands of them, and `task`
finds the labels in a catalogue.  Each says what it assumed and what it did not find.
"""

"""Sources of cutouts, one kind of survey a file; see `astrocnn.imaging.source.Source`."""

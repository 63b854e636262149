"""One file a verb of the command line: ``run(...)`` does it and returns what to show."""

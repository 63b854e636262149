"""Commands of the command line, one module each: ``run(...)`` yields the lines to print."""

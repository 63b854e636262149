"""``python -m astrocnn``: the command line."""

from astrocnn.cli import main

if __name__ == "__main__":
    main()

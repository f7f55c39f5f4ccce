"""`python -m cadence` is the command line."""

from cadence.cli import main

if __name__ == "__main__":
    main()

"""`python -m lmql_like` is the command `lmql-like`."""

from lmql_like.cli import main

if __name__ == "__main__":
    main(prog_name="lmql-like")

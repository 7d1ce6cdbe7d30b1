"""Query text to program."""

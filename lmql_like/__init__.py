"""lmql_like: a query language for constrained decoding."""

__version__ = "0.1.0"

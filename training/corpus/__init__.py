"""The training text, written by programs: one module a family, mixed by `mixture`."""

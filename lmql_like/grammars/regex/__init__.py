"""Patterns: text -> nodes. The dialect is Python's `re`, less what is no regular language."""

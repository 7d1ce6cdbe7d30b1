"""Constraints over bytes: patterns, automata, vocabularies and token masks."""

"""Nodes -> byte nfa -> lazily built deterministic automaton."""

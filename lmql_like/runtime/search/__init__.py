"""Searches: one strategy a file, one signature."""

"""Programs run against models."""

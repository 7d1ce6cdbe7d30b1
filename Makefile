# The checks that every commit passes. `make check` is what CI runs behind the tests.

.PHONY: check lint types floors test soak bench

check: lint types floors

lint:
	ruff check .
	ruff format --check .

types:
	mypy

floors:
	lint-imports

test:
	pytest

soak:
	HYPOTHESIS_PROFILE=soak pytest -m "soak or not soak" tests/laws -n auto

bench:
	python benchmarks/masks_regex.py
	python benchmarks/cold_start.py

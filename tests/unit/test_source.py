"""Excerpts show the place, on lines of any length."""

import pytest

from lmql_like.source import Source, Span


def test_short_lines_are_shown_as_they_are():
    assert Source("ab cd", "f").excerpt(Span(3, 5), "here") == (
        "  --> f:1:4\n   |\n 1 | ab cd\n   |    ^^ here"
    )


@pytest.mark.parametrize("at", [0, 3, 150, 5_000, 9_990, 9_999])
def test_long_lines_are_shown_around_the_place(at):
    text = "".join(chr(0x4E00 + i) for i in range(10_000))
    place, _, line, marks = Source(text, "f").excerpt(Span(at, at + 3)).split("\n")
    assert place == f"  --> f:1:{at + 1}"
    assert len(line) < 420
    carets = [i for i, char in enumerate(marks) if char == "^"]
    shown = "".join(line[i] for i in carets if i < len(line)).rstrip(".")
    assert shown == text[at : at + 3]


def test_a_span_over_all_of_a_long_line_has_carets_within_it():
    excerpt = Source("x" * 1_000_000, "f").excerpt(Span(0, 1_000_000))
    assert len(excerpt) < 1000

"""What may be a mistake: found where it is one, and not where it is none."""

from pathlib import Path

import pytest

from lmql_like.errors import LmqlLikeError
from lmql_like.language.findings import check_query

ROOT = Path(__file__).parents[3]


THINK = "@query\ndef f(n):\n"


def found(text):
    """Return code and characters of each finding."""
    return [(f.code, text[f.span.start : f.span.end]) for f in check_query(text)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # values that nothing reads
        ('for i in range(3):\n    "-[X]\\n"', [("Q601", "[X]")]),
        ('while True:\n    if 1:\n        "-[X]\\n" where len(X) < 3', [("Q601", "[X]")]),
        ('for i in range(3):\n    "-[_X]\\n"', []),
        ('xs = []\nfor i in range(3):\n    "-[X]\\n"\n    xs.append(X)', []),
        ('for i in range(3):\n    "-[X]\\n"\n    "{X}"', []),
        ('for i in range(3):\n    "-[X]\\n"\nreturn X', []),
        ('for i in range(3):\n    "-[X]\\n"\n    print(locals())', []),
        ('for i in range(3):\n    "-[X]\\n" where X not in ["a"]', [("Q601", "[X]")]),
        ('for i in range(3):\n    "-[X] [Y]\\n" where X != Y', []),
        ('def f():\n    return X\nfor i in range(3):\n    "-[X]\\n"\nf()', []),
        # values that are overwritten
        ('"[X], [X]."', [("Q602", "[X]")]),
        ('"[X],"\n"[X]."', [("Q602", "[X]")]),
        ('"[X],"\n"{X}[X]."', []),
        ('"[X],"\ny = X\n"[X]."', []),
        ('"[X],"\nif X:\n    "a"\n"[X]."', []),
        ('"[X],"\nif 1:\n    "[X]."', []),
        ('"[X],"\nfor i in X:\n    "a"\n"[X]."', []),
        ('"[_X],"\n"[_X]."', []),
        ('"[X],"\n"[X] [Y]." where Y != X', []),
        ('if 1:\n    "[X],"\n    "[X]."', [("Q602", "[X]")]),
        # names that hide others
        ("a: str\n'{a}[a].'", [("Q603", "a")]),
        ("def f(): pass\nf()\n'[f].'", [("Q603", "f")]),
        ("import math\n'{math.pi}[math].'", [("Q603", "math")]),
        ('"[list]."', [("Q603", "list")]),
        ('"[INT]."', [("Q603", "INT")]),
        ("len = 3\n'{len}[X].'", [("Q603", "len = 3")]),
        ("WORDS: int\n'{WORDS}[X].'", [("Q603", "WORDS")]),
        ("x = 3\n'{x}[X].'", []),
        # holes that do not end
        ('"a[X]"\n"b"', [("Q604", "[X]")]),
        ('"a[X: int]"\n"b"', [("Q604", "[X: int]")]),
        ('"a[X]" where REGEX(X, "[a-z]+")\n"b"', [("Q604", "[X]")]),
        ('"a[X]" where "b" not in X and X.startswith("c")\n"b"', [("Q604", "[X]")]),
        ('"a[X]b"\n"c"', []),
        ('"a[X]"', []),
        ('"a[X]"\nreturn X', []),
        ('"a[X]"\nif X:\n    return 1\n"b"', [("Q604", "[X]")]),
        ('if 1:\n    "a[X]"\nelse:\n    "b"', []),
        ('xs = []\nfor i in range(2):\n    "a[X]"\n    xs.append(X)', [("Q604", "[X]")]),
        ('"a[X]" where STOPS_BEFORE(X, "c")\n"b"', []),
        ('"a[X]" where STOPS_AT(X, "c") and len(X) > 3\n"b"', []),
        ('"a[X]" where len(TOKENS(X)) < 9\n"b"', []),
        ('"a[X]" where len(X) < 9\n"b"', []),
        ('"a[X]" where len(X) > 9\n"b"', [("Q604", "[X]")]),
        ('"a[X]" where REGEX(X, "[a-z]*!")\n"b"', []),
        ('"a[X]" where X in ["b", "c"]\n"b"', []),
        ('n: int\n"a[X]" where len(X) < n\n"b"', []),
        ('"a[X]" where X in ["b", "c"] or len(X) > 3\n"b"', [("Q604", "[X]")]),
        ('"a[X]"\n"b"\nwhere STOPS_BEFORE(X, "c")', []),
        ('"a[X]" distribution X in ["b", "c"]\n"b"', []),
        # statements that are never reached
        ("return 1\n'a'", [("Q605", "'a'")]),
        ("for i in range(2):\n    break\n    'a'", [("Q605", "'a'")]),
        ("raise ValueError\n'a'\n'b'", [("Q605", "'a'")]),
        ("if 1:\n    return 1\n'a'", []),
        ("if 1:\n    return 1\nelse:\n    return 2\n'a'", [("Q605", "'a'")]),
        # conditions that say nothing
        ('"[X]." where len(X) >= 0', [("Q606", "len(X) >= 0")]),
        ('"[X]." where "" in X', [("Q606", '"" in X')]),
        ('"[X]." where REGEX(X, r"[\\s\\S]*")', [("Q606", 'REGEX(X, r"[\\s\\S]*")')]),
        ('"[X]." where len(X) >= 0 or "a" in X', [("Q606", 'len(X) >= 0 or "a" in X')]),
        ('"[X]." where len(X) > 0', []),
        ('"[X]." where REGEX(X, ".*")', []),
        ('"[X]." where STOPS_AT(X, ".")', []),
        # arguments
        ("a: str\nb: int = 2\n'{b}'", [("Q607", "a")]),
        ("_a: str\n'b'", []),
        ("a: str\n'[X].' where X in a", []),
        ("a: str\nif a:\n    'b'", []),
        # queries inside a query
        (f'{THINK}    "a[X]"\n    return X\n"[Y: f(1)]."', [("Q604", "[X]")]),
        (f'{THINK}    "a[X]."\n    return X\n"[Y: f(1)]."', []),
        (f'{THINK}    "a[n]."\n    return n\n"[Y: f(1)]."', [("Q603", "n")]),
        (f'{THINK}    return n\n    "a"\n"[Y: f(1)]."', [("Q605", '"a"')]),
        (f'{THINK}    "a[X]."\n    return X\n"[Y: f(1)]"\n"b"', []),
        (f'x = 1\nfor i in range(2):\n    "[Z]."\n{THINK}    "{{Z}}"\n"[Y: f(1)]."', []),
    ],
)
def test_findings(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.lmql")), ids=lambda p: p.name)
def test_examples_give_no_alarm(path):
    _, findings = check_query(path.read_text(encoding="utf-8"), name=str(path))
    assert [finding.render() for finding in findings if finding.severity == "warning"] == []


def test_findings_stand_in_the_order_of_the_text_with_place_and_way_out():
    text = "a: str\n'x [X]'\n'y [X].'"
    _, findings = check_query(text, name="q.lmql")
    assert [finding.code for finding in findings] == ["Q607", "Q602", "Q604"]
    assert all(finding.help and finding.label for finding in findings)
    assert (
        findings[1]
        .render()
        .startswith(
            "warning[Q602]: the value of 'X' is overwritten before it is used\n  --> q.lmql:2:4\n"
        )
    )
    assert findings[1].to_json()["line"] == 2


def test_what_cannot_be_run_is_an_error_as_before():
    with pytest.raises(LmqlLikeError) as caught:
        check_query('"[X]" where len(Y) < 3')
    assert caught.value.code == "Q104"

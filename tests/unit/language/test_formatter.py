"""The layout of programs: one for each, and never another program."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError, QueryError
from lmql_like.language import formatter
from lmql_like.language.formatter import format_query, outline
from lmql_like.language.lexer import Lexer
from lmql_like.language.parser import parse_query
from lmql_like.source import Source

ROOT = Path(__file__).parents[3]


def parses(text):
    try:
        parse_query(Source(text))
    except LmqlLikeError:
        return False
    return True


FILES = [
    path
    for folder in ("examples", "tests/golden", "tests/data")
    for path in sorted((ROOT / folder).rglob("*.lmql"))
    if parses(path.read_text(encoding="utf-8"))
]
TEXTS = [path.read_text(encoding="utf-8") for path in FILES]


def program(text):
    return outline(parse_query(Source(text)))


def comments(text):
    """Return the comments of a text: what no lexeme covers, from `#` to the line's end."""
    kept = list(text)
    for lexeme in Lexer(Source(text)):
        for i in range(lexeme.span.start, lexeme.span.end):
            kept[i] = "\n" if text[i] == "\n" else " "
    return [c.lstrip("# ") for c in re.findall(r"#[^\n]*", "".join(kept))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_programs_comments_and_layout_stay(path):
    text = path.read_text(encoding="utf-8")
    written = format_query(text)
    assert program(written) == program(text)
    assert [c.rstrip() for c in comments(written)] == [c.rstrip() for c in comments(text)]
    assert format_query(written) == written


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.lmql")), ids=lambda p: p.name)
def test_the_examples_are_laid_out(path):
    text = path.read_text(encoding="utf-8")
    assert format_query(text) == text


@st.composite
def disturbed(draw):
    """A program whose white space was changed where that means nothing."""
    text = draw(st.sampled_from(TEXTS))
    lexemes = [lexeme for lexeme in Lexer(Source(text)) if lexeme.text]
    pieces, at = [], 0
    for lexeme in lexemes:
        gap = text[at : lexeme.span.start]
        if gap and not gap.strip(" ") and pieces and not pieces[-1].endswith("\n"):
            gap = draw(st.sampled_from([" ", "  ", "\t", " \\\n      "]))
        elif gap.endswith("\n") and draw(st.booleans()):
            gap += draw(st.sampled_from(["\n", "  \n\n", "# note\n", "#\n\n"]))
        elif not gap and lexeme.text in (",", "(", ")", "=", "]", "["):
            gap = draw(st.sampled_from(["", " "]))
        pieces += [gap, lexeme.text]
        at = lexeme.span.end
    return "".join([*pieces, text[at:]])


@given(disturbed())
def test_disturbed_programs_are_laid_out_and_stay_the_same(text):
    if not parses(text):
        return
    written = format_query(text)
    assert program(written) == program(text)
    assert format_query(written) == written


MESSY = '''\
import   re
def  f ( a:int=3 , *args,b=2,**kw ) ->int :
	# in a tabbed block
	return {1:-a,"x":[i for i in range( 3 )][1 : - 1]}["x"] , lambda x=1,*y :x+1
n:int=3   #count



for i in range(n):
  "a [X]"   WHERE len( X )<3 AND NOT( X=="a" )   # short
     and "b" not in X

  if  X == 'a' :
       "yes"; "no [Y]" where Y in[ "a" ,
             #inside
           "b" ]
       # of the inner block
  # of the loop
# of the file
t = """
   kept   as it is
 """ ; u = t . upper() ,3 .real,t [1 :,...],-n,+ n**2,n if(t)else[ * t ]
@ f . rator(1)
class A ( B ) : x:int = 1
'''

TIDY = '''\
import re
def f(a: int = 3, *args, b=2, **kw) -> int:
    # in a tabbed block
    return {1: -a, "x": [i for i in range(3)][1:-1]}["x"], lambda x=1, *y: x + 1
n: int = 3  # count


for i in range(n):
    "a [X]" where len(X) < 3 and not (X == "a")  # short
       and "b" not in X

    if X == 'a':
        "yes"; "no [Y]" where Y in ["a",
              # inside
            "b"]
        # of the inner block
    # of the loop
# of the file
t = """
   kept   as it is
 """; u = t.upper(), 3 .real, t[1:, ...], -n, +n ** 2, n if (t) else [*t]
@f.rator(1)
class A(B): x: int = 1
'''


def test_everything_at_once():
    assert format_query(MESSY) == TIDY


def test_standalone_syntax():
    text = 'BEAM( n=2 )\n  "a [X]"\n  if X :\n   "b"\nFROM\n   "m"\nWHERE\n   X IN["a","b"]\n'
    tidy = (
        'beam(n=2)\n    "a [X]"\n    if X:\n        "b"\nfrom\n   "m"\nwhere\n   X in ["a", "b"]\n'
    )
    assert format_query(text) == tidy


def test_an_empty_program_and_one_of_comments():
    assert format_query("\n\n") == ""
    assert format_query("\n\n#a\n\n\n\n# b") == "# a\n\n\n# b\n"


def test_what_is_no_program_is_not_formatted():
    with pytest.raises(QueryError) as caught:
        format_query('"[X"')
    assert caught.value.code == "Q010"


def test_a_result_that_would_be_another_program_is_refused(monkeypatch):
    monkeypatch.setattr(formatter, "write_lines", lambda *_args, **_options: '"another"\n')
    with pytest.raises(QueryError) as caught:
        format_query('"one"')
    assert caught.value.code == "Q009"

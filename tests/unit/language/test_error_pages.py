"""The pages that explain errors: the wrong example is wrong, the mended one is not."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from lmql_like.errors import CODES, LmqlLikeError
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Fill, Interpreter

PAGES = Path(__file__).parents[3] / "docs" / "errors"
EXAMPLES = re.compile(r"Wrong:\n\n(.*?)\n\nMended:\n\n(.*?)(?:\n\n(?=\S)|\Z)", re.DOTALL)
CODES_HERE = [code for code in CODES if re.match("Q00[1-6]|Q0[1-5]|Q[123]|Q404|R1", code)]


def run(text):
    """Run a query; every argument is a word, every hole is filled with another."""
    program = compile_query(text)
    interpreter = Interpreter(program, max_instructions=100)
    step = interpreter.start({p.name: "word" for p in program.parameters})
    for _ in range(9):
        if isinstance(step, Fill):
            step = interpreter.fill(step.state, "1")


@pytest.mark.parametrize("code", CODES_HERE)
def test_examples_are_what_they_claim(code):
    examples = EXAMPLES.search((PAGES / f"{code}.md").read_text(encoding="utf-8"))
    if examples is None:
        pytest.skip("the page has no pair of programs")
    wrong, mended = (textwrap.dedent(text) for text in examples.groups())
    with pytest.raises(LmqlLikeError) as raised:
        run(wrong)
    assert raised.value.code == code
    run(mended)

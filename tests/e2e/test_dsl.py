"""Queries as Python: functions, methods, coroutines, closures, options, and plain texts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import lmql_like
from lmql_like.errors import QueryError, RunError

TEMPLATE = "Q: What is the capital of"


@lmql_like.query
def capital(country: str, mark: str = "?"):
    """
    "{TEMPLATE} {country}{mark}\n"
    "A:[CAPITAL]" where STOPS_BEFORE(CAPITAL, "\n")
    return CAPITAL.strip()
    """


def test_a_function_runs_with_arguments_defaults_and_module_names():
    result = capital("France")
    assert result.value == "Paris"
    assert result.variables == {"CAPITAL": " Paris"}
    assert result.prompt == "Q: What is the capital of France?\nA: Paris"
    assert capital(country="Italy").value == "Rome"
    assert "country: str" in repr(capital)
    assert capital.__name__ == "capital"


def test_module_names_are_read_at_the_call(monkeypatch):
    monkeypatch.setitem(globals(), "TEMPLATE", "Q: Again: What is the capital of")
    assert capital("France").prompt.startswith("Q: Again")


def test_closures_see_the_scope_around_them():
    choices = [" red", " green"]

    @lmql_like.query
    def colour():
        """
        "Colour:[C]" where C in choices
        return C
        """

    assert colour().value in choices


def test_methods_get_self():
    class Shop:
        goods = (" pear", " plum")

        @lmql_like.query
        def offer(self):
            '"Fruit:[F]" where F in list(self.goods)'

    assert Shop().offer().variables["F"] in Shop.goods


def test_coroutines_are_awaited_together():
    @lmql_like.query
    async def add(a: int, b: int):
        """
        "{a} + {b} =[N: int]\n"
        return N
        """

    async def both():
        return await asyncio.gather(add(3, 4), add(5, 6))

    assert [result.value for result in asyncio.run(both())] == [7, 11]


def test_options_change_the_decoder():
    many = capital.with_options(decoder="beam(n=3)")
    result = many("Spain")
    assert result.value == "Madrid"
    assert len(result.others) == 2
    assert result.logprob >= max(other.logprob for other in result.others)

    @lmql_like.query(decoder="sample(n=2)", seed=3)
    def story():
        '"Story:[S]" where len(TOKENS(S)) <= 8'

    assert story().text == story().text


def test_a_text_runs_with_arguments_and_streams():
    pieces = []
    result = lmql_like.run('"{a} + 1 =[N: int]\\n"', a=4, stream=pieces.append)
    assert result.variables["N"] == 5
    assert "".join(piece.text for piece in pieces) == result.text
    assert {piece.hole for piece in pieces} == {None, "N"}


def test_a_file_runs(tmp_path):
    file = tmp_path / "q.lmql"
    file.write_text('"{a} + 1 =[N: int]\\n"')
    assert lmql_like.run_file(file, a=6).variables["N"] == 7
    with pytest.raises(QueryError, match="Q007"):
        lmql_like.run_file(tmp_path / "none.lmql")


def test_errors_name_the_file_and_line_of_the_docstring():
    with pytest.raises(QueryError) as raised:

        @lmql_like.query
        def wrong():
            """
            "Hello [NAME]"
            "[X]" where len(NAM) < 3
            """

    assert raised.value.code == "Q104"
    line, _ = raised.value.position
    assert "len(NAM) < 3" in Path(__file__).read_text(encoding="utf-8").splitlines()[line - 1]
    assert raised.value.source.name == __file__


def test_a_function_without_a_docstring_is_refused():
    with pytest.raises(QueryError, match="Q405"):

        @lmql_like.query
        def empty():
            pass


def test_arguments_are_checked_like_a_functions():
    with pytest.raises(TypeError):
        capital()
    with pytest.raises(TypeError):
        capital("a", "b", "c")


def test_the_querys_own_errors_keep_their_cause():
    with pytest.raises(RunError) as raised:
        lmql_like.run('x = {}["key"]\n"[X]"')
    assert isinstance(raised.value.__cause__, KeyError)


def test_names_are_lazy_and_unknown_ones_an_attribute_error():
    assert "query" in dir(lmql_like)
    with pytest.raises(AttributeError):
        lmql_like.no_such_name  # noqa: B018 - the access is the test


def test_docstrings_of_several_literals_are_read_as_their_value():
    @lmql_like.query
    def greet():
        (
            '"Hi [X]" where X == "a"\n'
            '"Ho [Y]" where Y == "b"\n'
        )  # fmt: skip

    assert greet().text == "Hi aHo b"


def test_source_that_is_not_the_functions_is_left_alone():
    scope = {"lmql_like": lmql_like}
    code = '@lmql_like.query\ndef q():\n    \'"A[X]" where X == "b"\'\n'
    exec(compile(code, __file__, "exec"), scope)  # noqa: S102 - as a notebook would
    assert scope["q"]().text == "Ab"


@pytest.mark.parametrize("thing", [len, None, staticmethod(len)])
def test_what_is_no_function_is_refused(thing):
    with pytest.raises(TypeError, match="expects a function"):
        lmql_like.query()(thing)


def test_generators_and_unknown_options_are_refused():
    with pytest.raises(TypeError, match="yield"):

        @lmql_like.query
        def numbers():
            '"[X]"'
            yield 1

    with pytest.raises(TypeError, match="modle"):
        lmql_like.query(modle=None)

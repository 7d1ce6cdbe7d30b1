"""Queries as Python: functions, methods, coroutines, closures, options, and plain texts."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path

import pytest

import lmql_like
from lmql_like.errors import GrammarError, LmqlLikeError, QueryError, RunError

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

    first, second = asyncio.run(both())
    assert [first.value, second.value] == [7, 11]


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


def test_keyword_only_arguments_and_defaults():
    @lmql_like.query
    def add(a: int, /, b: int = 4, *, c: int = 0):
        """
        "{a + c} + {b} =[N: int]\n"
        return N
        """

    assert add(3).value == 7
    assert add(3, 5, c=1).value == 9
    with pytest.raises(TypeError):
        add(3, 5, 1)


def test_methods_check_self_and_are_bound():
    class Shop:
        def __init__(self, *goods):
            self.goods = list(goods)

        @lmql_like.query
        async def offer(self, first: str):
            """
            "Fruit:[F]" where F in self.goods and F.startswith(first)
            return F
            """

    shops = [Shop(" pear", " plum"), Shop(" fig", " pomelo")]

    async def both():
        return await asyncio.gather(*(shop.offer(" p") for shop in shops))

    for result, shop in zip(asyncio.run(both()), shops, strict=True):
        assert result.value in shop.goods
    assert Shop.offer.__name__ == "offer"
    with pytest.raises(TypeError):
        Shop.offer(" p")  # self is missing


def test_streams_give_events_and_then_the_result():
    events = lmql_like.stream('"{a} + 1 =[N: int]\\n"', a=4)
    with pytest.raises(RunError, match="R209"):
        events.result  # noqa: B018 - the access is the test
    pieces = list(events)
    assert "".join(piece.text for piece in pieces) == events.result.text
    assert events.result.variables == {"N": 5}

    async def awaited():
        stream = capital.stream("Italy")
        return [event.text async for event in stream], stream.result

    texts, result = asyncio.run(awaited())
    assert "".join(texts) == result.prompt
    assert result.value == "Rome"


def test_stream_is_still_a_decorator_of_holes():
    seen = []

    @lmql_like.stream
    def watch(text):
        seen.append(text)

    @lmql_like.query
    def add():
        '"3 + 4 =[@watch N: int]\n"'

    add()
    assert seen[-1].strip() == "7"


def test_prompts_and_functions_run_in_every_way():
    sum_of = lmql_like.prompt(
        lmql_like.arg("a"),
        " + ",
        lmql_like.arg("b", int, 4),
        " =",
        lmql_like.gen("N", type=int),
        "\n",
    )
    assert sum_of(a=3).variables["N"] == lmql_like.run(sum_of, a=3).variables["N"] == 7
    assert asyncio.run(lmql_like.arun(sum_of, a=3)).variables["N"] == 7
    assert lmql_like.run(capital, country="Italy").value == "Rome"
    assert len(lmql_like.run(sum_of, a=3, decoder="beam(n=2)").others) == 1
    assert sum_of.with_options(trace=True)(a=3).trace is not None
    nested = lmql_like.prompt("S: ", lmql_like.gen("S", query=sum_of, arguments={"a": 5}), ".")
    assert nested().text == "S: 5 + 4 = 9\n."

    @lmql_like.query
    def around():
        '"[X: sum_of(a=6)]"'

    assert around().text == "6 + 4 = 10\n"


def test_f_is_a_function_of_its_arguments():
    city = lmql_like.F(
        "Q: What is the capital of {country}?\nA:[CITY]", where=lmql_like.StopsBefore("\n")
    )
    assert city(country="Italy") == city("Italy") == " Rome"
    assert asyncio.run(city.arun("France")) == " Paris"
    both = lmql_like.F(
        "[A] and '[B]' \\ \"[C: r'[0-9]']\"",
        where={"A": lmql_like.Equals('"\\'), "B": lmql_like.OneOf(["x"])},
    )
    values = both()
    assert (values["A"], values["B"]) == ('"\\', "x")
    assert values["C"].isdigit()
    assert lmql_like.F("{n} + 1 =[N: int]\n", where="len(N) <= 3")(n=4) == 5
    with pytest.raises(RunError, match="R210"):
        lmql_like.F("A[X]", where="len(X) == 50", decoder="argmax(max_len=9)")()


PAGES = Path(__file__).parents[2] / "docs" / "errors"


@pytest.mark.parametrize("code", ["Q701", "Q702", "R209", "R210"])
def test_pages_of_errors_show_what_they_are_about(code):
    page = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    wrong, mended = (
        textwrap.dedent(re.split(r"\n\n(?=\S)", page.split(f"{word}:\n\n")[1])[0])
        for word in ("Wrong", "Mended")
    )
    names = {name: getattr(lmql_like, name) for name in lmql_like.__all__}
    with pytest.raises(LmqlLikeError) as raised:
        exec(wrong, dict(names))  # noqa: S102 - our own page
    assert raised.value.code == code
    exec(mended, dict(names))  # noqa: S102 - same


def test_errors_point_at_the_expressions_of_a_builder():
    part = lmql_like.gen("X", where=lmql_like.Regex(r"a(?!0)") & lmql_like.Contains("b"))
    with pytest.raises(GrammarError) as raised:
        lmql_like.prompt("A", part)()
    error = raised.value
    assert error.source.name == __file__
    assert error.source.slice(error.span) == "(?!"
    wrong = lmql_like.prompt("A", lmql_like.gen("X", lmql_like.Equals(lmql_like.hole("Y"))))
    with pytest.raises(QueryError) as raised:
        wrong()
    assert raised.value.code == "Q102"
    assert raised.value.source.slice(raised.value.span) == "Y"
    late = lmql_like.prompt("A", lmql_like.gen("X", lmql_like.Regex(lmql_like.arg("pattern"))))
    with pytest.raises(LmqlLikeError) as raised:
        late(pattern=3)
    assert raised.value.source.name == __file__


SAMPLE = Path(__file__).with_name("typed_sample.py")


def test_mypy_knows_the_parameters_and_the_result():
    from mypy import api

    root = str(Path(__file__).parents[2] / "pyproject.toml")
    out, error, _ = api.run(["--config-file", root, str(SAMPLE)])
    assert not error
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    found = [
        (lines[int(at) - 1], message)
        for at, message in re.findall(r"typed_sample\.py:(\d+): (?:note|error): (.*)", out)
    ]
    revealed = [text for _, text in found if text.startswith("Revealed")]
    assert revealed == ['Revealed type is "lmql_like.runtime.results.Result"'] * 7
    wrong = {line for line, text in found if not text.startswith("Revealed")}
    assert wrong == {line for line in lines if "# wrong" in line}

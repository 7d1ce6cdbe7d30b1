"""Queries inside queries: what stays in the prompt, what a hole gets, what is refused."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import lmql_like
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program, start_run
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [bytes([byte]) for byte in range(256)] + [b"ab", b"th", b"ink", b"think", b": "]
VOCABULARY = Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)])
MODEL = ToyModel(VOCABULARY, context=None)
DECODERS = ["argmax", "sample(n=3)", "beam(n=3)"]


def run(text, decoder=None, **arguments):
    program = compile_query(textwrap.dedent(text))
    return run_program(program, arguments, model=MODEL, decoder=decoder, seed=3)


def naive_logprob(prompt, text):
    """Sum the log-probabilities of a text's tokens behind prompt tokens."""
    ids, total = list(prompt), 0.0
    for token in MODEL.encode(text, at_start=False):
        logits = MODEL.logits_after(ids).astype(np.float64)
        total += logits[token] - np.logaddexp.reduce(logits)
        ids.append(token)
    return total


PICK = """
    @query
    def pick(options, sep="-"):
        "think{sep}[T]." where T in options
        return T + "!"
"""


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_query_that_returns_leaves_nothing_but_its_value(decoder):
    for result in run(PICK + """    "A: [X: pick(['p', 'q'])] B"\n    return X""", decoder):
        assert result.value in ("p!", "q!")
        assert result.text == f"A: {result.value} B"
        assert result.variables == {"X": result.value}
        pieces = MODEL.encode("A: ", at_start=True)
        think = [*pieces, *MODEL.encode("think-", at_start=False)]
        assert result.logprob == pytest.approx(naive_logprob(think, result.value[0]), abs=1e-4)
        for piece in (result.value, " B"):
            pieces += MODEL.encode(piece, at_start=False)
        assert list(result.token_ids) == pieces
        assert [(s.data.decode(), s.hole) for s in result.segments] == [
            ("A: ", None),
            (result.value, "X"),
            (" B", None),
        ]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_query_that_returns_nothing_is_what_it_wrote(decoder):
    nested = """
        @query
        def items(n):
            for i in range(n):
                "- [A]," where A in ["a", "ab", "c"]
        "List: [L: items(2)] done"
    """
    inline = """
        "List: "
        for i in range(2):
            "- [A]," where A in ["a", "ab", "c"]
        " done"
    """
    for one, other in zip(run(nested, decoder), run(inline, decoder), strict=True):
        assert one.text == other.text
        assert one.logprob == pytest.approx(other.logprob)
        assert one.variables == {"L": one.text.removeprefix("List: ").removesuffix(" done")}


@pytest.mark.parametrize("decoder", DECODERS)
def test_what_follows_is_read_behind_the_value_alone(decoder):
    text = PICK + """    "A: [X: pick(['p', 'q'])][Y]" where Y in ["a", "b"]"""
    for result in run(text, decoder):
        x, y = result.variables["X"], result.variables["Y"]
        prompt = [*MODEL.encode("A: ", at_start=True), *MODEL.encode(x, at_start=False)]
        think = MODEL.encode("A: ", at_start=True) + MODEL.encode("think-", at_start=False)
        expected = naive_logprob(think, x[0]) + naive_logprob(prompt, y)
        assert result.logprob == pytest.approx(expected, abs=1e-4)


def test_beams_rank_by_the_choices_inside_nested_queries():
    best = run(PICK + """    "A: [X: pick(['p', 'q', 'r'])]" """, "beam(n=3)")
    think = MODEL.encode("A: ", at_start=True) + MODEL.encode("think-", at_start=False)
    ranked = sorted("pqr", key=lambda c: -naive_logprob(think, c))
    assert [result.variables["X"][0] for result in best] == ranked


def test_forced_tokens_are_scored_before_their_text_goes():
    text = """
        @query
        def forced():
            "[T]" where T in ["abcab", "abcxy"]
            return "v"
        "A[X: forced]"
    """
    for result in run(text, "beam(n=2)"):
        assert result.usage.unscored_tokens == 0
    totals = sorted(
        (naive_logprob(MODEL.encode("A", at_start=True), t) for t in ("abcab", "abcxy")),
        reverse=True,
    )
    assert [r.logprob for r in run(text, "beam(n=2)")] == pytest.approx(totals, abs=1e-4)


def test_recursion_and_queries_inside_queries():
    text = """
        @query
        def tree(n):
            if n == 0:
                "[LEAF]" where LEAF in ["a", "b"]
                return LEAF
            "<[L: tree(n - 1)][R: tree(n - 1)]>"
            return [L, R]
        "[T: tree(2)]"
        return T
    """
    (result,) = run(text)
    assert result.text == str(result.value)
    (a, b), (c, d) = result.value
    assert {a, b, c, d} <= {"a", "b"}


def test_a_value_keeps_its_type_and_the_prompt_its_text():
    text = """
        @query
        def number():
            "[N: int]" where len(N) < 3
            return {"n": N}
        "Give [X: number]."
        return X["n"] + 1
    """
    (result,) = run(text)
    assert isinstance(result.value, int)
    assert result.text == f"Give {result.variables['X']}."


def test_arguments_are_bound_as_in_python_and_defaults_are_evaluated_once():
    text = """
        seen = []
        def default():
            seen.append(1)
            return "d"
        @query
        def f(a, /, b=default(), *rest, c="c", **more):
            "{a}{b}{rest}{c}{more}"
        "[A: f(1)] [B: f(1, 2, 3, c=4, e=5)]"
        return len(seen)
    """
    (result,) = run(text)
    assert result.variables == {"A": "1d()c{}", "B": "12(3,)4{'e': 5}"}
    assert result.value == 1


def test_scopes_are_apart_and_outer_names_are_read_when_it_is_called():
    text = """
        word = "one"
        @query
        def f():
            x = "inner"
            "{word}{country}"
        x = "outer"
        word = "two"
        "[A: f]{x}"
    """
    (result,) = run(text, country="!")
    assert result.text == "two!outer"


def test_an_exception_of_a_nested_query_takes_its_text_along():
    text = """
        @query
        def fails():
            "some text [T]" where T in ["a"]
            raise ValueError(T)
            return 1
        try:
            "A[X: fails]"
        except ValueError as error:
            "caught {error}"
    """
    (result,) = run(text)
    assert result.text == "Acaught a"


def test_uncaught_it_points_into_the_nested_query():
    text = '@query\ndef f():\n    "a"\n    1 / 0\n"[X: f]"'
    with pytest.raises(LmqlLikeError) as raised:
        run(text)
    assert (raised.value.code, raised.value.position) == ("R101", (4, 5))


def test_conditions_on_its_value_are_checked():
    text = PICK + """    "A [X: pick(['p'])]" where len(X) == {n}"""
    assert run(text.replace("{n}", "2"))[0].status == "complete"
    dead = run(text.replace("{n}", "3"))[0]
    assert (dead.status, dead.text) == ("dead-end", "A p!")


def test_its_value_is_read_by_conditions_of_later_holes():
    text = PICK + """    "A [X: pick(['p', 'q'])] [Y]" where Y == X"""
    (result,) = run(text)
    assert result.variables["X"] == result.variables["Y"]


def test_a_hypothesis_has_its_own_nested_variables():
    text = """
        trace = []
        @query
        def f():
            for i in range(2):
                "[A]" where A in ["a", "b"]
                trace.append(A)
            return "".join(trace)
        "[X: f]"
        return X, trace
    """
    results = run(text, "beam(n=4)")
    assert sorted(r.value[0] for r in results) == ["aa", "ab", "ba", "bb"]
    assert all(list(r.value[0]) == r.value[1] for r in results)


def test_streams_never_take_text_back():
    text = PICK + """    "A [X: pick(['p', 'q'])] B" """
    program = compile_query(textwrap.dedent(text))
    for decoder in DECODERS:
        running = start_run(program, model=MODEL, decoder=decoder, seed=3)
        sent = {}
        for event in running.events():
            sent[event.lane] = sent.get(event.lane, "") + event.text
        results = running.results()
        assert sent[0] == results[0].text


def test_truncated_inside_it_shows_what_there_is():
    text = """
        argmax(max_len=12)
            @query
            def f():
                "[T]" where len(T) > 50
                return T
            "A[X: f]"
    """
    (result,) = run(text)
    assert result.status == "truncated"
    assert result.text.startswith("A")
    assert result.variables == {}


def test_a_docstring_makes_a_program_with_clauses():
    text = """
        @lmql_like.query
        def f(word):
            '''lmql
            "{word}:\\n[T]" where T in ["a", "ab"]
            where len(T) == 2
            '''
        "[X: f('w')]"
    """
    (result,) = run(text)
    assert result.text == "w:\nab"


def test_settings_are_those_of_the_run_or_refused():
    text = """
        @query(decoder="{decoder}")
        def f():
            "[T]" where T in ["a", "b"]
            return T
        "[X: f]"
    """
    assert run(text.replace("{decoder}", "beam(n=2)"), "beam(n=2)")[0].status == "complete"
    with pytest.raises(LmqlLikeError) as raised:
        run(text.replace("{decoder}", "beam(n=2)"), "argmax")
    assert raised.value.code == "R110"
    for option in ('model="other"', "seed=9"):
        with pytest.raises(LmqlLikeError) as raised:
            run(text.replace('decoder="{decoder}"', option), "argmax")
        assert raised.value.code == "R110"
    assert run(text.replace('decoder="{decoder}"', 'model="toy"'))[0].status == "complete"


def test_called_as_a_function_it_runs_by_itself_with_its_own_settings():
    text = """
        n = 2
        @query(decoder="beam(n=2)")
        def f(x):
            "{x}{n}[T]" where T in ["a", "b"]
            return T
        "A"
        found = f("x")
        return found.text, found.decoder, len(found.others)
    """
    (result,) = run(text)
    assert result.value[0] in ("x2a", "x2b")
    assert result.value[1:] == ("beam(n=2)", 1)
    assert result.text == "A"


@lmql_like.query
def shout(word, times=1):
    """
    "{word}[T]" where T in ["!", "?"]
    return word.upper() + T * times
    """


class Holder:
    @lmql_like.query
    def method(self, n):
        """
        "[T]" where T in ["a", "b"]
        return [T] * n
        """


def test_functions_that_python_decorated_can_be_nested():
    @lmql_like.query(model=MODEL)
    def outer(holder):
        """
        "A[X: shout('w', times=2)][Y: holder.method(2)]"
        return X, Y
        """

    x, y = outer(Holder()).value
    assert x in ("W!!", "W??")
    assert y in (["a", "a"], ["b", "b"])


def test_a_definition_inside_a_branch():
    text = """
        if True:
            @query
            def f():
                "yes"
        "[X: f]"
    """
    assert run(text)[0].text == "yes"


# Query files


def files(tmp_path, **texts):
    for name, text in texts.items():
        (tmp_path / f"{name}.lmql").write_text(textwrap.dedent(text), encoding="utf-8")
    return compile_query(
        (tmp_path / "main.lmql").read_text(encoding="utf-8"), name=str(tmp_path / "main.lmql")
    )


LIBRARY = """
    import math
    options = ["a", "b"]
    calls = []
    def shout(text):
        return text.upper() + suffix
    suffix = "!"
    @query
    def pick(n=1):
        "think[T]" where T in options
        return shout(T) * n
    @query
    def twice():
        "[A: pick][B: pick(2)]"
        return A + B
"""


def test_queries_and_functions_of_another_file(tmp_path):
    main = """
        from library import twice, shout as loud
        import library
        options = ["x"]
        "{loud('w')} [X: twice] [Y: library.pick(n=1)] {library.suffix}"
    """
    program = files(tmp_path, main=main, library=LIBRARY)
    for decoder in DECODERS:
        for result in run_program(program, model=MODEL, decoder=decoder, seed=1):
            x, y = result.variables["X"], result.variables["Y"]
            assert result.text == f"W! {x} {y} !"
            assert x in {f"{a}!{b}!{b}!" for a in "AB" for b in "AB"}
            assert y in {"A!", "B!"}


def test_a_file_is_a_query_itself(tmp_path):
    capital = '"{country}:[C]" where C in ["p", "q"]\nreturn C'
    main = """
        import sub.capital as c
        "[X: c('France')] [Y: c(country='Spain')]"
        c2 = c("x").text
    """
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "capital.lmql").write_text(capital, encoding="utf-8")
    program = files(tmp_path, main=main)
    (result,) = run_program(program, model=MODEL)
    assert result.text == f"{result.variables['X']} {result.variables['Y']}"


@pytest.mark.parametrize(
    ("texts", "code", "position"),
    [
        ({"main": "from library import picks\n", "library": LIBRARY}, "Q107", (1, 1)),
        ({"main": "import main\n"}, "Q108", (1, 1)),
        ({"main": "import a\n", "a": "import b\n", "b": "import a\n"}, "Q108", (1, 1)),
        ({"main": '"x"\nimport a\n', "a": '"[X'}, "Q001", (1, 1)),
    ],
)
def test_refused_imports(tmp_path, texts, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        files(tmp_path, **texts)
    assert (raised.value.code, raised.value.position) == (code, position)


def test_what_is_no_query_file_is_pythons(tmp_path):
    main = 'import math, library\n"{math.floor(1.5)}[X: library.pick]"'
    program = files(tmp_path, main=main, library=LIBRARY)
    (result,) = run_program(program, model=MODEL)
    assert result.text.startswith("1")


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('@query\n@other\ndef f():\n    "a"\n', "Q057", (2, 2)),
        ('@query(seeds=1)\ndef f():\n    "a"\n', "Q057", (1, 8)),
        ('@query(seed=x)\ndef f():\n    "a"\n', "Q057", (1, 8)),
        ('@query\ndef f():\n    @query\n    def g():\n        "a"\n    "b"\n', "Q057", (4, 5)),
        ('@query\ndef f():\n    "[T]" where len(Q) < 3\n', "Q104", (3, 21)),
        ("@query\ndef f():\n    break\n", "Q019", (3, 5)),
        ('def f():\n    pass\n"[X: f]"', "R108", (3, 6)),
        ('"[X: str.upper]"', "R108", (1, 6)),
        ('@query\ndef f():\n    "a"\n"[X: f(1)]"', "R101", (4, 6)),
        ('@query\ndef f():\n    "[X: f]"\n"[X: f]"', "R109", (3, 10)),
        ('@query\ndef f():\n    "a"\n"[X: f]" where STOPS_AT(X, "a")', "Q212", (4, 16)),
        ('@query\ndef f():\n    "a"\n"[X: f]" where len(TOKENS(X)) < 3', "Q212", (4, 16)),
        ('@query\ndef f():\n    "a"\n"[X: f]" distribution X in ["a"]', "Q056", (4, 10)),
        ('@query\ndef f():\n    "a"\n    return "\\ud800"\n"[X: f]"', "R107", (5, 2)),
    ],
)
def test_refused(text, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        run(text)
    assert (raised.value.code, raised.value.position) == (code, position)

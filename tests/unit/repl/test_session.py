"""A session: inputs in a row are one program, and what fails leaves no trace."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError, ModelError, QueryError, RunError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.repl.session import Session
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.source import Source

ROOT = Path(__file__).parents[3]
SINGLES = [bytes([byte]) for byte in range(256)]
PAIRS = [b"ab", b"abc", b" wor", b"\n\n", b"x\ny", b"a b", b": ", b"yes"]
VOCABULARY = Vocabulary([*SINGLES, *PAIRS, b""], eos_token_ids=[264])
OTHER = Vocabulary([b"", *SINGLES], eos_token_ids=[0])


class Chat:
    """A tokenizer's chat template: messages in angle brackets."""

    chat_template = "yes"
    bos_token = "<s>"  # noqa: S105 - a start token

    def apply_chat_template(self, conversation, *, tokenize):
        assert not tokenize
        said = (f"<{m['role']}>{m['content']}</{m['role']}>\n" for m in conversation)
        return self.bos_token + "".join(said)


MODELS = {None: ToyModel(VOCABULARY, spread=6.0), "other": ToyModel(OTHER, spread=6.0)}


MODELS["chat"] = ToyModel(VOCABULARY, spread=6.0)
MODELS["chat"].tokenizer = Chat()


def load(name):
    if name not in MODELS:
        raise ModelError("M101", f"there is no model '{name}'")
    return MODELS[name]


def enter(session, *inputs):
    """Run inputs; return the last one's turn."""
    for text in inputs:
        attempt = session.begin(text)
        shown = "".join(event.text for events in attempt.events() for event in events)
        before = len(session.text)
        turn = session.keep(attempt)
        if len(turn.results) == 1:
            assert shown == turn.results[0].text[before:]
    return turn


def code_of(session, text):
    with pytest.raises(LmqlLikeError) as caught:
        enter(session, text)
    return caught.value.code


INPUTS = [
    '"Say[X]." where REGEX(X, " [a-c]{2,4}")',
    "n = 2",
    'items = []\nfor i in range(2):\n    "\\n-[ITEM]" where len(ITEM) == 2\n    items.append(ITEM)',
    '" and more "',
    '"of {1 + 1}[Y]!" where Y in ["yes", "no"]',
    "len('abc')",
    "def double(x):\n    return x + x",
    '"[Z]"\nwhere\n    len(Z) < 4 and\n    "q" not in Z',
    'return "text"',
    "return",
    "import math",
    "k = 1; '[K1]' where len(K1) == 1; k += 1",
]


@given(st.lists(st.sampled_from(INPUTS), max_size=6, unique=True), st.sampled_from([None, "other"]))
@settings(max_examples=60)
def test_a_saved_session_says_the_same_in_one_run(inputs, model):
    session = Session(load, model=model)
    for text in inputs:
        enter(session, text)
    program = compile_query(session.program_text())
    assert program.parameters == ()
    [result] = run_program(program, model=load(model))
    assert result.text == session.text
    reached = session.complete.step.state.variables if session.turns else {}
    assert dict(result.variables) == dict(reached)
    assert program.model == model


def test_values_are_shown_and_a_return_gives_its_value_a_name():
    session = Session(load)
    assert enter(session, "1 + 1").value == 2
    assert enter(session, "x = 3").value is None
    assert enter(session, "x += 1\nx").value == 4
    assert enter(session, "return x * 2").value == 8
    assert enter(session, "_ + 1").value == 9
    assert enter(session, "return").value is None
    assert session.program_text().splitlines()[-3:] == ["_ + 1", "", "return"]


def test_a_return_inside_a_block_ends_the_program():
    session = Session(load)
    turn = enter(session, '"a"\nif True:\n    return 5\n"b"')
    assert (turn.value, turn.has_returned, session.text) == (5, True, "a")
    assert code_of(session, '"on"') == "Q501"
    session.undo()
    assert enter(session, '"a"\nif False:\n    return 5\n"b"').has_returned is False
    assert session.text == "ab"


def test_what_fails_leaves_no_trace():
    session = Session(load)
    enter(session, "items = [1]", '"a[X]" where len(X) == 1')
    before = session.text
    assert code_of(session, "items.append(2)\n1 / 0") == "R101"
    assert code_of(session, '"[Y]" where len(Y) < 0') == "Q211"
    assert code_of(session, "nothing") == "Q102"
    assert code_of(session, '"[Y"') == "Q010"
    assert enter(session, 'words = []\n"[Y]" where Y in words').complete.status == "dead-end"
    assert enter(session, "items").value == [1]
    assert session.text == before
    assert "words" not in session.names


def test_a_run_that_is_given_up_leaves_no_trace():
    session = Session(load)
    enter(session, '"a[X]" where len(X) == 1')
    attempt = session.begin('"[Y]" where len(Y) == 20')
    steps = attempt.events()
    for _ in range(5):
        next(steps)
    assert session.text == enter(session, "x = 1").complete.text
    assert set(session.names) >= {"X", "x"}
    assert "Y" not in session.names


def test_undo_and_reset():
    session = Session(load)
    enter(session, '"a"', "x = [1]", "x.append(2)")
    session.undo()
    assert enter(session, "x").value == [1]
    session.undo()
    session.undo()
    assert session.names == {}
    session.reset()
    assert session.text == ""
    with pytest.raises(QueryError) as caught:
        session.undo()
    assert caught.value.code == "Q505"


def test_functions_see_names_that_later_inputs_change():
    session = Session(load)
    enter(session, "k = 1\ndef f():\n    return k", "k = 2")
    assert enter(session, "f()").value == 2
    session.undo()
    session.undo()
    assert enter(session, "f()").value == 1


def test_clauses_for_the_whole_program():
    session = Session(load)
    enter(session, '"[X]"\nwhere len(X) == 2')
    assert len(session.names["X"]) == 2
    assert code_of(session, '"[X]"') == "Q503"
    assert code_of(session, '"[Y]"\nwhere len(Y) < 3 and 1 == 1') == "Q503"
    enter(session, '"[Z]" where len(Z) == 1')
    assert code_of(session, '"[Z]"\nwhere len(Z) == 1') == "Q503"
    assert code_of(session, 'beam(n=2)\n    "[Q]"') == "Q502"
    assert code_of(session, '"[Q]"\nfrom "gpt2"') == "Q502"


def test_queries_of_one_input_are_called_by_the_next():
    session = Session(load)
    enter(session, '@query\ndef f(n):\n    "{n}? [T]" where len(T) == n\n    return T')
    enter(session, '"a [X: f(2)], "', '"b [Y: f(1)]"')
    assert session.text == f"a {session.names['X']}, b {session.names['Y']}"
    [result] = run_program(compile_query(session.program_text()), model=load(None))
    assert result.text == session.text


TURNS = [
    '"{:user}Hello{:assistant}[A]" where len(A) == 2',
    '"{:user}"',
    '"What is {1 + 1}?{:assistant}"',
    '"[B]" where B in ["two", "2"]',
    '"[C]{:user}and on" where len(C) == 1',
    '"plain [D]" where len(D) == 1',
    '@query\ndef f(n):\n    "{n}? [T]" where len(T) == n\n    return T',
    '"[E: f(2)] "',
    '"[F] " distribution F in ["x", "y"]',
    "@query\ndef aside():\n    '(aside [G])' where len(G) == 2",
    '"[H: aside()]"',
]


@given(st.lists(st.integers(1, len(TURNS) - 1), unique=True, max_size=8).map(sorted))
@settings(max_examples=60)
def test_conversations_with_roles_and_nested_queries_are_one_program(chosen):
    texts = [TURNS[i] for i in (0, *chosen)]
    needs = {'"[E: f(2)] "': TURNS[6], '"[H: aside()]"': TURNS[9]}
    texts = [t for t in texts if t not in needs or needs[t] in texts]
    session = Session(load, model="chat")
    for text in texts:
        attempt = session.begin(text)
        session.keep(attempt)
    [result] = run_program(compile_query(session.program_text()), model=load("chat"))
    assert result.text == session.text
    assert dict(result.variables) == dict(
        session.complete.step.state.variables if session.turns else {}
    )


def test_another_model_reads_the_prompt_anew():
    session = Session(load)
    enter(session, '"abc: [X]" where X == "a b"', '" yes"')
    session.use_model("other")
    turn = enter(session, '"[Y]" where len(Y) == 3')
    spelled = b"".join(OTHER.tokens[token_id] for token_id in turn.complete.ids)
    assert spelled.decode() == session.text == "abc: a b yes" + session.names["Y"]
    with pytest.raises(ModelError):
        session.use_model("third")
    assert session.model_name == "other"
    session.undo()
    assert enter(session, '"[Y]" where len(Y) == 3').complete.ids == turn.complete.ids


def test_seed_and_decoder():
    texts = set()
    for seed in (1, 1, 2):
        session = Session(load, decoder="sample(temperature=1.5)", seed=seed)
        enter(session, '"[X]" where len(X) == 12')
        texts.add(session.text)
        head = f"sample(temperature=1.5, seed={seed})"
        assert session.program_text().startswith(head)
    assert len(texts) == 2
    with pytest.raises(RunError):
        session.decoder = "sample(temprature=1)"
    assert session.decoder == "sample(temperature=1.5)"


def test_several_results_go_on_with_the_best():
    session = Session(load, decoder="beam(n=3)")
    turn = enter(session, '"[X]" where len(X) == 2')
    assert len(turn.results) == 3
    assert session.text == turn.results[0].text


def loaded(session, source, arguments):
    attempt = session.load(source, arguments)
    attempt.session.keep(attempt)
    return attempt.session


FILE = """\
# A head
word: str
n: int = 2

sample(n=1)
    "{word}:"
    for i in range(n):
        "[X]" where len(X) == 1
    if n:
        '''
  as it is'''
from "other"
where
    "q" not in X
"""


def test_a_file_is_loaded_with_its_arguments_and_settings():
    session = Session(load, seed=3)
    enter(session, '"before"')
    session = loaded(session, Source(FILE, "file.lmql"), {"word": "it's", "n": "3"})
    assert session.text.startswith("it's:")
    assert session.text.endswith("\n  as it is")
    assert len(session.text) == len("it's:" + "abc" + "\n  as it is")
    assert (session.decoder, session.model_name) == ("sample", "other")
    assert session.program_text() == (
        'sample(seed=3)\n# A head\nword: str = "it\'s"\nn: int = 3\n\n\n"{word}:"\n'
        'for i in range(n):\n    "[X]" where len(X) == 1\nif n:\n'
        "    '''\n  as it is'''\n\nfrom \"other\"\nwhere\n    \"q\" not in X\n"
    )


@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        ("'{a}'", {}, "Q401"),
        ("'{a}'", {"a": "1", "b": "2"}, "Q402"),
        ("a: int\n'{a}'", {"a": "x"}, "Q403"),
        ("d: date\n'{d}'", {"d": "2024-05-01"}, "Q506"),
        ("'[X'", {}, "Q010"),
        ("'[X]'\nfrom 'third'", {}, "M101"),
    ],
)
def test_a_file_that_cannot_be_loaded_leaves_the_session_alone(text, arguments, code):
    session = Session(load)
    enter(session, '"before"')
    with pytest.raises(LmqlLikeError) as caught:
        session.load(Source(text, "file.lmql"), arguments)
    assert caught.value.code == code
    assert session.text == "before"


def test_names_without_a_declaration_are_assigned_above_the_file():
    session = Session(load)
    session = loaded(session, Source('"{a} {b}"', "f.lmql"), {"a": "1", "b": "x"})
    assert session.program_text() == "a = '1'\nb = 'x'\n\"{a} {b}\"\n"
    attempt = session.load(Source('"{a}"\n1 / 0', "f.lmql"), {"a": "1"})
    with pytest.raises(RunError) as caught:
        attempt.session.keep(attempt)
    assert caught.value.position == (2, 1)
    assert session.text == "1 x"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.lmql")), ids=lambda p: p.name)
def test_the_examples_can_be_loaded_gone_on_with_and_saved(path):
    source = Source(path.read_text(encoding="utf-8"), str(path))
    program = compile_query(source.text, name=source.name)
    values = {int: "3", str: "word"}
    given = {p.name: values.get(p.annotation, "word") for p in program.parameters if p.is_required}
    session = Session(load)
    attempt = session.load(source, given)
    saved_alone = compile_query(attempt.piece.source.text, name=source.name)
    assert all(not parameter.is_required for parameter in saved_alone.parameters)
    session = attempt.session
    if session.keep(attempt).complete.status == "complete":
        enter(session, '" and on"')
        compile_query(session.program_text(), name=source.name)

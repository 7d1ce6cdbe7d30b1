"""Masks of where-clauses equal brute force, for every operator of the language.

Random conditions are written as an author writes them, and read by Python as well: each
operator has a twin that tells whether a whole text satisfies it. All texts over a small
alphabet, up to a length that every condition is and-ed with, are enumerated. A token is
allowed behind a prefix if and only if some satisfying text goes on with it.
"""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.language.operators import METHODS, OPERATORS, UNITS
from lmql_like.language.sentences import GRAMMAR_OPERATORS
from lmql_like.runtime.interpreter import DeadEnd, Fill, Interpreter
from lmql_like.runtime.masking import build_recognizer

LETTERS = "ab1 é.-"
LENGTH = 3
TEXTS = ["".join(text) for n in range(LENGTH + 1) for text in product(LETTERS, repeat=n)]
BOUND = f'REGEX(X, r"[{LETTERS}]{{0,{LENGTH}}}")'
PRELUDE = """\
yes, no, listed = True, False, ["a", "1b", "b-"]
@constraint
class EvenAs:
    def start(self):
        return 0
    def step(self, state, byte):
        return state ^ (byte == 97)
    def is_accepting(self, state):
        return state == 0
"[Y]" where Y in ["b", "1"]
"""

WORDS = st.text(LETTERS, min_size=1, max_size=2)
LISTS = st.lists(WORDS, min_size=1, max_size=3)
NUMBERS = st.integers(0, 4)
COMPARED = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def sentences(text):
    """Return how many words end a sentence, and one more for words behind the last of them."""
    ends = [word.endswith(".") for word in text.split()]
    return sum(ends) + (ends[-1:] == [False])


COUNTED = {
    "len(X)": len,
    "len(BYTES(X))": lambda x: len(x.encode()),
    "len(WORDS(X))": lambda x: len(x.split()),
    "len(SENTENCES(X))": sentences,
}
PATTERNS = [r"(a|b1)*", r"a*ab?", r".*1", r"[^a]+", r"(?:b|é){2}|-?1*", r""]


def includes(phrases):
    return lambda x: all(any(p in x for p in ([g] if isinstance(g, str) else g)) for g in phrases)


def number_test(pattern):
    return lambda x: re.fullmatch(pattern, x) is not None


# (condition as it is written, twin: whether a text X satisfies it where Y was filled before)
LEAVES = st.one_of(
    LISTS.map(lambda v: (f"X in {v!r}", lambda x, y: x in v)),
    LISTS.map(lambda v: (f"X not in {v!r}", lambda x, y: x not in v)),
    WORDS.map(lambda v: (f"X == {v!r}", lambda x, y: x == v)),
    WORDS.map(lambda v: (f"{v!r} != X", lambda x, y: x != v)),
    WORDS.map(lambda v: (f"{v!r} in X", lambda x, y: v in x)),
    WORDS.map(lambda v: (f"{v!r} not in X", lambda x, y: v not in x)),
    WORDS.map(lambda v: (f"X.startswith({v!r})", lambda x, y: x.startswith(v))),
    WORDS.map(lambda v: (f"X.endswith({v!r})", lambda x, y: x.endswith(v))),
    LISTS.map(lambda v: (f"STARTS_WITH(X, {v!r})", lambda x, y: x.startswith(tuple(v)))),
    LISTS.map(lambda v: (f"ends_with(X, {v!r})", lambda x, y: x.endswith(tuple(v)))),
    st.sampled_from(PATTERNS).map(
        lambda p: (f"REGEX(X, {p!r})", lambda x, y: re.fullmatch(p, x) is not None)
    ),
    st.just(("INT(X)", lambda x, y: re.fullmatch(" ?-?(0|[1-9][0-9]*)", x) is not None)),
    st.just(("FLOAT(X)", lambda x, y: re.fullmatch(r" ?-?[1-9][0-9]*(\.[0-9]+)?", x) is not None)),
    st.sampled_from(["BOOL(X)", "DATE(X)"]).map(lambda text: (text, lambda x, y: False)),
    st.tuples(st.sampled_from(sorted(COUNTED)), st.sampled_from(sorted(COMPARED)), NUMBERS).map(
        lambda t: (f"{t[0]} {t[1]} {t[2]}", lambda x, y: COMPARED[t[1]](COUNTED[t[0]](x), t[2]))
    ),
    st.tuples(st.sampled_from(sorted(COUNTED)), NUMBERS, NUMBERS).map(
        lambda t: (f"{t[1]} < {t[0]} <= {t[2]}", lambda x, y: t[1] < COUNTED[t[0]](x) <= t[2])
    ),
    st.tuples(st.sampled_from(sorted(COUNTED)), st.sets(NUMBERS)).map(
        lambda t: (f"{t[0]} in {sorted(t[1])}", lambda x, y: COUNTED[t[0]](x) in t[1])
    ),
    st.text(LETTERS, max_size=5).map(lambda v: (f"SUBSTRING_OF(X, {v!r})", lambda x, y: x in v)),
    st.lists(st.one_of(WORDS, LISTS), min_size=1, max_size=2).map(
        lambda v: (f"INCLUDES(X, {v!r})", lambda x, y: includes(v)(x))
    ),
    LISTS.map(lambda v: (f"EXCLUDES(X, {v!r})", lambda x, y: not any(p in x for p in v))),
    st.sampled_from(
        [
            ("EvenAs(X)", lambda x, y: x.count("a") % 2 == 0),
            ("X != Y", lambda x, y: x != y),
            ("Y in X", lambda x, y: y in x),
            ("len(X) > len(Y)", lambda x, y: len(x) > len(y)),
            ("X in [Y, Y + 'a']", lambda x, y: x in [y, y + "a"]),
            ("X in listed", lambda x, y: x in ["a", "1b", "b-"]),
            ("yes", lambda x, y: True),
            ("no", lambda x, y: False),
            ("(Y == 'b' or X == 'a')", lambda x, y: y == "b" or x == "a"),
        ]
    ),
)


def combined(inner):
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(
            lambda p: (
                "(" + " and ".join(text for text, _ in p) + ")",
                lambda x, y: all(twin(x, y) for _, twin in p),
            )
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda p: (
                "(" + " or ".join(text for text, _ in p) + ")",
                lambda x, y: any(twin(x, y) for _, twin in p),
            )
        ),
        inner.map(lambda p: (f"(not {p[0]})", lambda x, y: not p[1](x, y))),
    )


CONDITIONS = st.recursive(LEAVES, combined, max_leaves=6)

# What stands beside the others under `and` only: grammars, stops and counts of tokens.
GRAMMARS = [
    ("", lambda x: True),
    ('GBNF(X, \'root ::= "a" root "b" | "1"\')', lambda x: x in ("1", "a1b")),
    (
        'GRAMMAR(X, \'start: "1" | "a" start | "-"\', lexing=\'scannerless\')',
        lambda x: re.fullmatch(r"a*[1-]", x) is not None,
    ),
]
GRAMMARS.append(
    (
        'JSON(X, {"type": "integer", "minimum": 0})',
        lambda x: re.fullmatch(r" ?1+", x) is not None,
    )
)
STOPS = ["", "STOPS_AT", "STOPS_BEFORE"]

SINGLES = sorted({bytes([byte]) for byte in LETTERS.encode()})
MERGED = st.lists(st.text(LETTERS, min_size=2, max_size=3).map(str.encode), max_size=4, unique=True)


def with_stop(texts, kind, phrase):
    """Return the raw texts of a stop: the phrase is read, and the first time it counts ends."""
    if not kind:
        return texts
    known = set(texts)
    raw = known | ({text + phrase for text in known} if kind == "STOPS_BEFORE" else set())

    def goes_on(text):
        """Tell whether the hole would have ended in the middle of a text."""
        ends = (text[:i] for i in range(len(text)))
        if kind == "STOPS_AT":
            return any(end.endswith(phrase) and end in known for end in ends)
        return any(end.endswith(phrase) and end[: -len(phrase)] in known for end in ends)

    return [text for text in raw if not goes_on(text)]


def spelled_in(text, tokens, memo):
    """Return every number of tokens in which some bytes can be spelled."""
    if text not in memo:
        memo[text] = {0} if not text else set()
        for token in tokens:
            if text.startswith(token):
                memo[text] |= {n + 1 for n in spelled_in(text[len(token) :], tokens, memo)}
    return memo[text]


def allowed_by(masker, state):
    row = np.zeros(masker.vocabulary.n_words, np.int32)
    masker.fill_bitmask(state, row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def walk(formula, tokens, texts, most, choices):
    """Compare masks with brute force on the way through some tokens."""
    masker = build_recognizer(
        formula, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)])
    ).masker
    memo: dict[bytes, set[int]] = {}

    def can_be(text, used):
        rests = (whole[len(text) :] for whole in texts if whole.startswith(text))
        return any(used + n <= most for rest in rests for n in spelled_in(rest, tokens, memo))

    state, text = masker.start(), b""
    assert (state is not None) == can_be(b"", 0)
    for used, choice in enumerate(choices):
        if state is None:
            return
        expected = {
            i for i, token in enumerate(tokens) if can_be(text + token, used + 1)
        }  # fmt: skip
        if text in texts:
            expected.add(len(tokens))
        assert allowed_by(masker, state) == expected, text
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state, text = masker.advance(state, token), text + tokens[token]


@settings(max_examples=150, deadline=None)
@given(
    CONDITIONS,
    st.sampled_from(GRAMMARS),
    st.sampled_from(STOPS),
    WORDS,
    st.sampled_from([None, None, 0, 1, 2, 3]),
    st.sampled_from(["b", "1"]),
    MERGED,
    st.lists(st.integers(0, 50), min_size=4, max_size=4),
)
def test_masks_of_conditions_are_brute_force(
    condition, grammar, stop, phrase, most, earlier, merged, choices
):
    text, twin = condition
    assume(not (grammar[0] and stop))  # which of the two ends the text is refused, G105
    parts = [text, BOUND, grammar[0], f"{stop}(X, {phrase!r})" if stop else ""]
    parts.append("" if most is None else f"len(TOKENS(X)) <= {most}")
    where = " and ".join(filter(None, parts))
    satisfying = [x for x in TEXTS if twin(x, earlier) and grammar[1](x)]
    raw = with_stop(satisfying, stop, phrase)
    try:
        program = compile_query(f'{PRELUDE}"[X]" where {where}')
        step = Interpreter(program).start({})
        assert isinstance(step, Fill)
        step = Interpreter(program).fill(step.state, earlier)
    except LmqlLikeError as error:
        refused = error.code
    else:
        refused = ""
    if refused:
        never = not any(twin(x, y) and grammar[1](x) for x in TEXTS for y in ("b", "1"))
        assert refused in ("G104", "G105") or (refused == "Q211" and never)
        return
    if isinstance(step, DeadEnd):
        assert not raw
        return
    tokens = [*SINGLES, *(token for token in merged if token not in SINGLES)]
    bound = len(SINGLES) * 10 if most is None else most
    walk(step.hole.formula, tokens, {x.encode() for x in raw}, bound, choices)


WRITTEN = {
    *("STARTS_WITH", "ENDS_WITH", "INCLUDES", "EXCLUDES", "REGEX", "SUBSTRING_OF"),
    *("INT", "FLOAT", "BOOL", "DATE", "STOPS_AT", "STOPS_BEFORE", "GRAMMAR", "GBNF"),
}


def test_no_operator_of_the_language_is_left_out():
    assert {name.upper() for name in (*OPERATORS, *GRAMMAR_OPERATORS)} == WRITTEN
    assert set(METHODS) == {"startswith", "endswith"}
    assert set(UNITS) == {"BYTES", "WORDS", "SENTENCES", "TOKENS"}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("BOOL", [f"{s}{t}" for s in ("", " ") for t in ("True", "False", "true", "false")]),
        ("FLOAT", ["0", " -12.50", "3e5", "1.5E-07", "-0.0"]),
    ],
)
def test_kinds_have_their_texts_and_no_others(name, texts):
    """Each text is allowed to its end; each with a letter more or less, as Python reads it."""
    (step,) = [Interpreter(compile_query(f'"[X]" where {name}(X)')).start({})]
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)] + [b""], eos_token_ids=[256])
    masker = build_recognizer(step.hole.formula, vocabulary).masker
    for text in texts:
        state = masker.start()
        for byte in text.encode():
            state = masker.advance(state, byte)
            assert state is not None
        assert masker.is_accepting(state)
        assert masker.advance(state, ord("x")) is None
    for byte in b"xTruE.+":
        state = masker.start()
        assert (masker.advance(state, byte) is not None) == any(
            text.startswith(chr(byte)) for text in texts
        )

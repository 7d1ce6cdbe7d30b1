import pytest

from lmql_like.errors import RunError
from lmql_like.language import decoders as language
from lmql_like.runtime.search.decoders import DECODERS, make_decoder, parse_decoder


def test_a_name_alone_has_all_defaults():
    spec = parse_decoder(" argmax ")
    assert (spec.name, dict(spec.arguments)) == ("argmax", {"max_len": 2048})
    assert str(spec) == "argmax"


def test_a_call_is_shown_with_what_was_given():
    spec = parse_decoder("sample(n=2, temperature=0.5, top_k=None)")
    assert spec.arguments["n"] == 2
    assert str(spec) == "sample(n=2, temperature=0.5)"


@pytest.mark.parametrize(
    ("text", "code", "help_"),
    [
        ("greedy", "R201", "argmax"),
        ("bean(n=2)", "R201", "did you mean 'beam'?"),
        ("beam(m=2)", "R202", "n, max_len"),
        ("sample(temprature=2)", "R202", "did you mean 'temperature'?"),
        ("beam(n=0)", "R203", ""),
        ("beam(n=True)", "R203", ""),
        ("sample(top_p=0)", "R203", ""),
        ("sample(temperature=-1)", "R203", ""),
        ("sample(seed=-1)", "R203", ""),
        ("beam(4)", "R204", "beam(n=4)"),
        ("beam(n=x)", "R204", ""),
        ("beam(**{'n': 1})", "R204", ""),
        ("a.b", "R204", ""),
        ("beam(", "R204", ""),
        ("", "R204", ""),
    ],
)
def test_mistakes_are_named(text, code, help_):
    with pytest.raises(RunError) as caught:
        parse_decoder(text)
    assert caught.value.code == code
    assert help_ in caught.value.help


def test_samples_are_split_to_fit_the_rows():
    searches = make_decoder("sample", n=7).searches(0, seed=1, max_rows=3)
    assert [search.capacity for search in searches] == [3, 3, 1]


def test_the_language_checks_the_same_parameters():
    assert {name: set(known) for name, known in language.DECODERS.items()} == {
        name: {parameter.name for parameter in known.parameters} for name, known in DECODERS.items()
    }

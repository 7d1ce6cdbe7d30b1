import pytest

from lmql_like.errors import RunError
from lmql_like.runtime.search.decoders import DECODERS, make_decoder, parse_decoder


def test_a_name_alone_has_all_defaults():
    spec = parse_decoder(" argmax ")
    assert spec.name == "argmax"
    assert spec.arguments["max_len"] == 2048
    assert str(spec) == "argmax"


def test_a_call_is_shown_with_what_was_given():
    spec = parse_decoder("sample(n=2, temperature=0.5, top_k=None)")
    assert spec.arguments["n"] == 2
    assert str(spec) == "sample(n=2, temperature=0.5)"


@pytest.mark.parametrize(
    ("text", "code", "help_"),
    [
        ("zzz", "R201", "argmax"),
        ("bean(n=2)", "R201", "did you mean 'beam'?"),
        ("beam(m=2)", "R202", "it takes n, length_penalty"),
        ("sample(temprature=2)", "R202", "did you mean 'temperature'?"),
        ("beam(n=0)", "R203", ""),
        ("beam(n=True)", "R203", ""),
        ("sample(top_p=0)", "R203", ""),
        ("sample(temperature=-1)", "R203", ""),
        ("sample(seed=-1)", "R203", ""),
        ("sample(min_p=2)", "R203", ""),
        ("beam(early_stopping='never')", "R203", ""),
        ("beam(early_stopping=0)", "R203", ""),
        ("beam(n=4, groups=3)", "R203", "equal size"),
        ("var(subdecoder='greedy')", "R203", ""),
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


def test_the_words_of_lmql_are_understood():
    assert parse_decoder("beam(num_beams=3)").arguments["n"] == 3
    assert parse_decoder("beam_var(alpha=0.5)").arguments["length_penalty"] == 0.5


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_every_decoder_starts_with_its_defaults(name):
    search, *_ = make_decoder(name).searches(0, seed=1, max_rows=8)
    assert search.step([], None) == []
    assert search.results() == []

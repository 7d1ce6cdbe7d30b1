"""One entrance for three syntaxes."""

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.reader import read_grammar


@pytest.mark.parametrize(
    ("syntax", "grammar"),
    [("lark", 'start: "a"'), ("gbnf", 'root ::= "a"'), ("ebnf", 'root ::= "a"')],
)
def test_each_syntax_has_its_start_rule(syntax, grammar, accepts):
    rules = read_grammar(grammar, syntax=syntax, lexing="scannerless")
    assert accepts(rules, "a")
    assert rules.source.text == grammar


def test_the_lexed_reading_is_refused_and_names_the_other():
    with pytest.raises(GrammarError) as caught:
        read_grammar('start: "a"')
    assert caught.value.code == "G407"
    assert 'lexing="scannerless"' in caught.value.help


def test_grammars_without_a_lexer_need_not_say_so():
    assert read_grammar('root ::= "a"', syntax="gbnf", lexing="lexed").start == "root"


@pytest.mark.parametrize("wrong", [{"syntax": "gbfn"}, {"lexing": "scanerless"}])
def test_unknown_words_are_refused(wrong):
    with pytest.raises(GrammarError) as caught:
        read_grammar('root ::= "a"', **wrong)
    assert caught.value.code == "G408"
    assert "did you mean" in caught.value.help

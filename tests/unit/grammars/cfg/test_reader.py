"""One entrance for three syntaxes."""

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.cfg.rules import LexedGrammar


@pytest.mark.parametrize(
    ("syntax", "grammar"),
    [("lark", 'start: "a"'), ("gbnf", 'root ::= "a"'), ("ebnf", 'root ::= "a"')],
)
def test_each_syntax_has_its_start_rule(syntax, grammar, accepts):
    rules = read_grammar(grammar, syntax=syntax, lexing="scannerless")
    assert accepts(rules, "a")
    assert rules.source.text == grammar


def test_lark_is_read_with_a_lexer_unless_told_otherwise():
    grammar = read_grammar('start: "a"')
    assert isinstance(grammar, LexedGrammar)
    assert [terminal.name for terminal in grammar.terminals] == ["A"]


def test_grammars_without_a_lexer_need_not_say_so():
    assert read_grammar('root ::= "a"', syntax="gbnf", lexing="lexed").start == "root"


@pytest.mark.parametrize("wrong", [{"syntax": "gbfn"}, {"lexing": "scanerless"}])
def test_unknown_words_are_refused(wrong):
    with pytest.raises(GrammarError) as caught:
        read_grammar('root ::= "a"', **wrong)
    assert caught.value.code == "G408"
    assert "did you mean" in caught.value.help

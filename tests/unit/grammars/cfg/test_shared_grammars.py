"""The shared grammars, each in Lark's syntax and in EBNF: both accept what they should."""

from lmql_like.grammars.cfg.reader import read_grammar


def read_both(case):
    return (
        read_grammar(case["text"], lexing="scannerless"),
        read_grammar(case["ebnf"], syntax="ebnf"),
    )


def test_both_notations_accept_every_valid_text(shared_grammar, accepts):
    lark, ebnf = read_both(shared_grammar)
    for text in shared_grammar["valid"]:
        assert accepts(lark, text), text
        assert accepts(ebnf, text), text


def test_both_notations_refuse_every_invalid_text(shared_grammar, accepts):
    lark, ebnf = read_both(shared_grammar)
    assert not [text for text in shared_grammar["invalid"] if accepts(lark, text)]
    assert not [text for text in shared_grammar["invalid"] if accepts(ebnf, text)]

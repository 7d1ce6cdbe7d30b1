import pytest

from lmql_like import run
from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.token_index import token_index
from lmql_like.runtime.toy_model import ToyModel


def test_the_longest_token_wins():
    index = token_index(Vocabulary([b"a", b"ab", b"abc", b"c", b""], eos_token_ids=[4]))
    assert index.encode_greedily(b"abcaba") == [2, 1, 0]
    assert index.encode_greedily(b"") == []


def test_a_byte_without_token_is_named():
    index = token_index(Vocabulary([b"a"]))
    with pytest.raises(ModelError, match="0x62") as caught:
        index.encode_greedily(b"ab")
    assert caught.value.code == "M202"


def test_prefixes_are_all_tokens_that_begin_a_text():
    vocabulary = Vocabulary([b"a", b"ab", b"b", b"a", b"abx", b""], eos_token_ids=[5])
    assert sorted(token_index(vocabulary).prefixes_of(b"abc")) == [0, 1, 3]
    assert token_index(vocabulary) is token_index(vocabulary)


def test_where_the_longest_tokens_lead_nowhere_others_are_found():
    index = token_index(Vocabulary([b"a", b"ab", b"bc", b"x"]))
    assert index.encode_greedily(b"abcx") == [0, 2, 3]


def test_forced_text_may_be_written_by_longer_tokens_only():
    """Found by a fuzzer: '-1' then '1' is forced by bytes, and no token is a '1' alone."""
    vocabulary = Vocabulary([b"Q", b"-", b"11", b""], eos_token_ids=[3])
    result = run('"Q[X]" where REGEX(X, "-(1|11)")', model=ToyModel(vocabulary))
    assert result.variables == {"X": "-11"}

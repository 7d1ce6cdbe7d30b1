"""Roles: the prompt is what the model's own chat template renders of the conversation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.roles import ChatTemplate
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [bytes([byte]) for byte in range(256)]
HERE = Path(__file__).parents[4] / "shared" / "tokenizers"
TOKENIZERS = Path(os.environ.get("LMQL_LIKE_TOKENIZERS") or HERE)

CHAT_ML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)


class Chat:
    """A tokenizer's chat template: messages in angle brackets, the system's first."""

    chat_template = "yes"
    bos_token = "<s>"  # noqa: S105 - a start token

    def __init__(self, strips=False):
        self.strips = strips

    def apply_chat_template(self, conversation, *, tokenize):
        assert not tokenize
        text = self.bos_token
        for n, message in enumerate(conversation):
            if message["role"] == "system" and n:
                raise ValueError("system comes first")
            content = message["content"].strip() if self.strips else message["content"]
            text += f"<{message['role']}>{content}</{message['role']}>\n"
        return text


def run(text, decoder=None, chat=None, **arguments):
    model = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[256]), context=None)
    model.tokenizer = chat or Chat()
    return run_program(compile_query(text), arguments, model=model, decoder=decoder, seed=1)


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=2)", "sample(n=2)"])
def test_the_prompt_is_what_the_template_renders(decoder):
    text = """
"{:system}Be brief.{:user}"
for word in words:
    "{word}{:assistant}[X]{:user}" where X in ["yes", "no"]
"Why?{:assistant}"
"[Y]" where Y in ["a", "b"]
"""
    for result in run(text, decoder, words=["one", "two"]):
        state = result.text.removesuffix(result.variables["Y"])
        answers = [s.data.decode() for s in result.segments if s.hole == "X"]
        conversation = [("system", "Be brief.")]
        for word, answer in zip(("one", "two"), answers, strict=True):
            conversation += [("user", word), ("assistant", answer)]
        conversation += [("user", "Why?"), ("assistant", result.variables["Y"])]
        whole = (
            Chat()
            .apply_chat_template(
                [{"role": role, "content": content} for role, content in conversation],
                tokenize=False,
            )
            .removeprefix("<s>")
        )
        assert whole == result.text + "</assistant>\n"
        assert state.endswith("<assistant>")


def test_a_nested_query_takes_its_messages_along():
    text = """
@query
def ask(question):
    "{question}{:assistant}[T]" where T in ["a"]
    "{:user}Sure?{:assistant}[U]" where U in ["b"]
    return T + U
"{:user}[X: ask('Q')]{:assistant}[Y]" where Y in ["c"]
"""
    (result,) = run(text)
    assert result.text == "<user>ab</user>\n<assistant>c"


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('"before{:user}a"', "R113", (1, 8)),
        ('"{:user}a{:system}b"', "R113", (1, 10)),
        ('"{:user} a {:assistant}b"', "R113", (1, 12)),
    ],
)
def test_what_the_template_cannot_say_is_refused(text, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        run(text, chat=Chat(strips=True))
    assert (raised.value.code, raised.value.position) == (code, position)


def test_a_model_without_a_template_has_no_roles():
    chat = Chat()
    chat.chat_template = None
    with pytest.raises(LmqlLikeError) as raised:
        run('"{:user}a"', chat=chat)
    assert (raised.value.code, raised.value.position) == ("R112", (1, 2))


def test_the_template_of_a_real_model():
    folder = TOKENIZERS / "qwen"
    if not folder.exists():
        pytest.skip("the real tokenizers are not here")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT_ML
    chat = ChatTemplate(tokenizer)
    written, conversation = "", []
    for role, content in [("system", "Be brief."), ("user", "Hi!"), ("assistant", "Yes?")]:
        written += chat.head(conversation, role, written) + content
        conversation.append((role, content))
    whole = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in conversation], tokenize=False
    )
    assert whole.startswith(written)

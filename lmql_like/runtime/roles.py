"""Roles: what a model's own chat template writes between the messages of a prompt.

A template renders whole conversations. The text of one tag is found by rendering the
messages so far and a marker in the new role: what stands in front of the marker and is
not written yet. Where the template would have changed what is written already, the tag
is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmql_like.errors import RunError

__all__ = ["ChatTemplate", "Message", "chat_template_of"]

_MARKER = "7Qcontent7Q"

Message = tuple[str, str]  # role, content


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: with a `chat_template`, and `apply_chat_template` as in transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        bos = getattr(tokenizer, "bos_token", None)
        # Models put their start token in front of a prompt themselves.
        self._start = bos or ""

    def head(self, messages: Sequence[Message], role: str, written: str) -> str:
        """Return the text between what is written and the content of a new message.

        Raises:
            RunError: R113, the template refuses the roles, or changes what is written.
        """
        rendered = self._render([*messages, (role, _MARKER)])
        if rendered.count(_MARKER) != 1:
            raise self._refused(f"the model's chat template leaves out a message of '{role}'")
        head = rendered[: rendered.index(_MARKER)].removeprefix(self._start)
        if not head.startswith(written):
            raise self._refused(
                "the model's chat template changes text that is written already",
                "begin and end messages without white space, and write no text in front of "
                "the first role",
            )
        return head[len(written) :]

    def _render(self, messages: Sequence[Message]) -> str:
        conversation = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(self._tokenizer.apply_chat_template(conversation, tokenize=False))
        except Exception as error:
            raise self._refused(
                f"the model's chat template refuses these roles: {error}",
                "many templates want 'system' first, then 'user' and 'assistant' in turn",
            ) from error

    @staticmethod
    def _refused(problem: str, hint: str = "") -> RunError:
        return RunError("R113", problem, help=hint)


def chat_template_of(model: Any) -> ChatTemplate | None:
    """Return the chat template of a model, None where it has none."""
    tokenizer = getattr(model, "tokenizer", None)
    return ChatTemplate(tokenizer) if getattr(tokenizer, "chat_template", None) else None

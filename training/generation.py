"""Greedy answers to a batch of prompts, with a key-value cache and left padding."""

from __future__ import annotations

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

_MOST_TOKENS = 120


@torch.no_grad()
def answer_greedily(
    model: PreTrainedModel, tokenizer: Tokenizer, prompts: list[str], to_the_end: bool = False
) -> list[str]:
    """Return the text after each prompt up to its first line break, which is kept.

    With `to_the_end`, up to the end-of-text token. An answer that does not stop within
    120 tokens comes back as far as it got.
    """
    stop = tokenizer.eos_token_id
    if not to_the_end:
        (stop,) = tokenizer("\n", add_special_tokens=False).input_ids
    inputs = tokenizer(prompts, padding=True, return_tensors="pt")
    ids, mask = inputs.input_ids, inputs.attention_mask
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache()
    chosen: list[torch.Tensor] = []
    stopped = torch.zeros(len(prompts), dtype=torch.bool)
    while len(chosen) < _MOST_TOKENS and not stopped.all():
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            logits_to_keep=1,
        ).logits
        ids = logits[:, -1].argmax(-1, keepdim=True)
        chosen.append(ids[:, 0])
        stopped |= (ids[:, 0] == stop) | (ids[:, 0] == tokenizer.eos_token_id)
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return [_cut(tokenizer, row, stop) for row in torch.stack(chosen, dim=1).tolist()]


def _cut(tokenizer: Tokenizer, ids: list[int], stop: int) -> str:
    end = tokenizer.eos_token_id
    if stop in ids and stop != end:
        ids = ids[: ids.index(stop) + 1]
    if end in ids:
        ids = ids[: ids.index(end)]
    return tokenizer.decode(ids)

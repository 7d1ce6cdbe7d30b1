"""The architecture: a Qwen3 mixture of experts, small enough to ship with the package."""

from __future__ import annotations

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from training.tokenizer import VOCABULARY_SIZE


def build_model(end_of_text_id: int) -> Qwen3MoeForCausalLM:
    """Return the untrained model: 4 layers of 8 gated experts, 2 of them used by each token.

    The rotary base is 10,000, for contexts of some hundred tokens; the larger default of
    the architecture is made for long contexts and learns to copy later.
    """
    config = Qwen3MoeConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        intermediate_size=128,
        decoder_sparse_step=1,
        norm_topk_prob=True,
        mlp_only_layers=[],
        tie_word_embeddings=True,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=end_of_text_id,
        eos_token_id=end_of_text_id,
        pad_token_id=end_of_text_id,
    )
    return Qwen3MoeForCausalLM(config)

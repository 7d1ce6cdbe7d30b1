"""Tiny random models and tokenizers, one for each architecture that tests compare."""

import functools

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
MERGES = [("a", "b"), ("c", "d"), ("ab", "cd"), ("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o")]

_COMMON = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.15,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_SLIDING = ["sliding_attention", "full_attention"]
_SETTINGS = {
    "llama": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "qwen3": {},
    "mistral": {"sliding_window": 6},
    "gemma2": {"sliding_window": 6},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": _EXPERTS,
    "bloom": {"n_layer": 2, "n_head": 4},
    "qwen2": {},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 24},
    "gemma": {},
    "gemma3_text": {"sliding_window": 6, "layer_types": _SLIDING},
    "gpt_oss": {"sliding_window": 6, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "olmo2": {},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "phi": {},
    "phi3": {"pad_token_id": 1},
    "cohere": {},
    "granite": {},
    "starcoder2": {"sliding_window": 6},
    "falcon": {"alibi": False, "new_decoder_architecture": False, "head_dim": None},
    "smollm3": {},
    "deepseek_v3": {
        "kv_lora_rank": 16,
        "q_lora_rank": 24,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 16,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 24,
    },
    "recurrent_gemma": {
        "num_hidden_layers": 3,
        "attention_window_size": 8,
        "lru_width": 32,
        "num_key_value_heads": 1,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 16, "chunk_size": 8},
    "qwen3_next": {**_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 24},
}
RECOMPUTED = ("recurrent_gemma", "mamba2", "qwen3_next")
CACHED = tuple(kind for kind in _SETTINGS if kind not in RECOMPUTED)


@functools.cache
def tiny_model(kind, *, dtype=torch.float32, vocab_size=128):
    """Return a random model; biases, norms and pad rows are random too."""
    torch.set_num_threads(1)
    settings = {**_COMMON, **_SETTINGS[kind], "vocab_size": vocab_size}
    config = CONFIG_MAPPING[kind](**{k: v for k, v in settings.items() if v is not None})
    generator = torch.Generator().manual_seed(7)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = 0.75 if "temporal_block.linear" in name else 0.15
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32) * scale
            base = weight if "norm" in name or weight.dim() == 1 else torch.zeros_like(weight)
            weight.copy_(base + noise.to(dtype))
    model.tie_weights()
    model.generation_config.eos_token_id = 0
    return model.eval()


@functools.cache
def tiny_tokenizer():
    """Return a byte-level BPE tokenizer over ASCII with a few merges; id 0 starts and ends."""
    alphabet = {c: chr(0x120) if c == " " else chr(0x10A) if c == "\n" else c for c in CHARACTERS}
    words = ["<|end|>", "<|pad|>", *alphabet.values(), *("".join(pair) for pair in MERGES)]
    options = {"unk_token": "<|pad|>"}
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, MERGES, **options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    tokenizer.add_special_tokens(["<|end|>", "<|pad|>"])
    names = {"bos_token": "<|end|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", **names)

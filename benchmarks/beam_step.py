"""What does a step of a constrained beam search cost, beside transformers' generate?

    python benchmarks/beam_step.py [--tokenizers DIR] [--runs 5] [--batches 1,8,32]

Random Llamas of two layers and width 64, so that what is measured is the search, with the
vocabularies of GPT-2 (50,257 tokens) and Qwen (151,936). Contenders take turns within one
process; ratios are medians over the rounds, each to `generate(num_beams=8)` in the same
round, by the clock and by CPU time, which other work on the machine disturbs less. The
peers' processors are fair ones: matchers are forked with their rows, and never replayed.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.transformers_model import TransformersModel

ROOT = Path(__file__).parents[1]
BEAMS = 8
STEPS = 16
PATTERN = r"([A-Z][a-z]{2,9} ){3,99}[0-9]{4}"
SIZES = {"gpt2": 50257, "qwen": 151936}
PHRASES = ["new york", "blue sky", "open door", "cold tea", "old ship", "red car"]
PHRASES += ["long way", "warm bread", "tall tree"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizers", type=Path, default=ROOT.parent / "shared" / "tokenizers")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--vocabularies", default="gpt2,qwen")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.vocabularies.split(",")
    models = {name: build(options.tokenizers / name, SIZES[name]) for name in names}
    print("| vocabulary | batch | contender | ms per step | ratio | CPU ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, pair in models.items():
        for batch in map(int, options.batches.split(",")):
            for line in compare(contenders(*pair, batch), options.runs):
                print(f"| {name} | {batch} | {line}", flush=True)
    first = models[names[0]][1]
    print("\n| phrases | cells, most | rows per step | ms per step | ratio | CPU ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for line in grid_costs(first, options.runs):
        print(f"| {line}", flush=True)
    print("\n| beside the phrases | 1 | 2 | 4 | 6 | 9 |\n|---|---|---|---|---|---|")
    for line in new_masks(first):
        print(f"| {line}", flush=True)
    print("\n| query | tokens of holes | forward passes |\n|---|---|---|")
    for line in forced_runs(first):
        print(f"| {line}", flush=True)


def build(folder: Path, size: int) -> tuple[Any, TransformersModel]:
    """Return a random model with a tokenizer, bare and wrapped."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.15,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    model.lmql_tokenizer = tokenizer
    return model, TransformersModel(model, tokenizer)


def contenders(model: Any, wrapped: TransformersModel, batch: int) -> dict[str, Callable[[], int]]:
    """Return what to time: each returns how many steps it took."""
    codes = [" ".join(f"{number:06b}") for number in range(batch)]  # equally many tokens
    prompts = [f"Name number {code}:" for code in codes]
    encoded = torch.tensor([wrapped.encode(prompt, at_start=True) for prompt in prompts])
    found: dict[str, Callable[[], int]] = {
        "generate": lambda: generate(model, encoded, None),
        "generate, llguidance": lambda: generate(model, encoded, Llguidance(model)),
    }
    if batch <= 8:  # beyond, its masks take minutes
        found["generate, XGrammar"] = lambda: generate(model, encoded, Xgrammar(model))
    free = compile_query('"Name number {n}:[X]"')
    bound = compile_query(f'"Name number {{n}}:[X]" where REGEX(X, r"{PATTERN}")')
    inputs = [{"n": code} for code in codes]
    max_len = encoded.shape[1] + STEPS
    found["lmql_like"] = lambda: ours(free, inputs, wrapped, max_len)
    found["lmql_like, constrained"] = lambda: ours(bound, inputs, wrapped, max_len)
    return found


def ours(program: Any, inputs: Sequence[dict[str, str]], model: Any, max_len: int) -> int:
    """Run a query with beams on all inputs at once."""
    decoder = f"beam(n={BEAMS}, max_len={max_len})"
    results = run_program(
        program, inputs, model=model, decoder=decoder, max_rows=2 * BEAMS * len(inputs)
    )
    return results[0].usage.forward_passes


def generate(model: Any, encoded: torch.Tensor, processor: Any) -> int:
    """Run transformers' beam search."""
    model.generate(
        encoded,
        attention_mask=torch.ones_like(encoded),
        do_sample=False,
        num_beams=BEAMS,
        max_new_tokens=STEPS,
        length_penalty=0.0,
        logits_processor=[processor] if processor else [],
    )
    return STEPS


class Forking:
    """A logits processor that forks a matcher for each row whose parent it knows."""

    def __init__(self) -> None:
        self.matchers: dict[tuple[int, ...], Any] = {}
        self.n_prompt: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask the scores of every row."""
        if self.n_prompt is None:
            self.n_prompt = input_ids.shape[1]
        known, self.matchers = self.matchers, {}
        for row, ids in enumerate(input_ids[:, self.n_prompt :].tolist()):
            key = tuple(ids)
            if key not in self.matchers:
                self.matchers[key] = self.advanced(known.get(key[:-1]), ids)
            self.fill(self.matchers[key], row, len(scores))
        self.apply(scores)
        return scores

    def advanced(self, parent: Any, ids: list[int]) -> Any:
        """Return a fork of the parent's matcher behind the last token; None for a dead row."""
        if not ids:
            return self.start()
        child = None if parent is None else self.fork(parent)
        return child if child is not None and self.accept(child, ids[-1]) else None


class Xgrammar(Forking):
    """XGrammar's matchers."""

    compiled: dict[int, Any] = {}  # noqa: RUF012 - one for each model, for all runs

    def __init__(self, model: Any) -> None:
        super().__init__()
        import xgrammar

        self.xgrammar, self.size = xgrammar, model.config.vocab_size
        if id(model) not in self.compiled:
            info = xgrammar.TokenizerInfo.from_huggingface(
                model.lmql_tokenizer, vocab_size=self.size
            )
            compiler = xgrammar.GrammarCompiler(info, max_threads=1)
            self.compiled[id(model)] = compiler.compile_regex(PATTERN)
        self.grammar = self.compiled[id(model)]
        self.bitmask: Any = None

    def start(self) -> Any:
        """Return a matcher of no text."""
        return self.xgrammar.GrammarMatcher(self.grammar)

    def fork(self, parent: Any) -> Any:
        """Return a copy."""
        return parent.fork()

    def accept(self, matcher: Any, token: int) -> bool:
        """Advance by a token."""
        return bool(matcher.accept_token(token))

    def fill(self, matcher: Any, row: int, rows: int) -> None:
        """Fill a row of the bitmask."""
        if self.bitmask is None or len(self.bitmask) != rows:
            self.bitmask = self.xgrammar.allocate_token_bitmask(rows, self.size)
        if matcher is None:
            self.bitmask[row] = -1
        else:
            matcher.fill_next_token_bitmask(self.bitmask, row)

    def apply(self, scores: torch.Tensor) -> None:
        """Mask the scores in place."""
        self.xgrammar.apply_token_bitmask_inplace(scores, self.bitmask)


class Llguidance(Forking):
    """llguidance's matchers."""

    tokenizers: dict[int, Any] = {}  # noqa: RUF012 - one for each model, for all runs

    def __init__(self, model: Any) -> None:
        super().__init__()
        import llguidance.hf
        import llguidance.torch

        self.llguidance, self.size = llguidance, model.config.vocab_size
        if id(model) not in self.tokenizers:
            self.tokenizers[id(model)] = llguidance.hf.from_tokenizer(
                model.lmql_tokenizer, n_vocab=self.size
            )
        self.tokenizer = self.tokenizers[id(model)]
        self.bitmask: Any = None

    def start(self) -> Any:
        """Return a matcher of no text."""
        matcher = self.llguidance.LLMatcher
        return matcher(self.tokenizer, matcher.grammar_from_regex(PATTERN))

    def fork(self, parent: Any) -> Any:
        """Return a copy."""
        return parent.deep_copy()

    def accept(self, matcher: Any, token: int) -> bool:
        """Advance by a token."""
        return bool(matcher.consume_token(token))

    def fill(self, matcher: Any, row: int, rows: int) -> None:
        """Fill a row of the bitmask."""
        if self.bitmask is None or len(self.bitmask) != rows:
            self.bitmask = self.llguidance.torch.allocate_token_bitmask(rows, self.size)
        if matcher is None:
            self.bitmask[row] = -1
        else:
            self.llguidance.torch.fill_next_token_bitmask(matcher, self.bitmask, row)

    def apply(self, scores: torch.Tensor) -> None:
        """Mask the scores in place."""
        self.llguidance.torch.apply_token_bitmask_inplace(scores, self.bitmask)


def compare(runs: dict[str, Callable[[], int]], rounds: int) -> list[str]:
    """Time contenders in turns, after a round that is thrown away; return table rows."""
    clocks = time.perf_counter, time.process_time
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, act in runs.items():
            began = [clock() for clock in clocks]
            steps = act()
            if number:
                took = zip(clocks, began, strict=True)
                times[name].append(tuple((clock() - at) / steps * 1e3 for clock, at in took))
    base = times[next(iter(runs))]
    lines = []
    for name, found in times.items():
        cells = [name]
        for clock in range(len(clocks)):
            pairs = [(a[clock], b[clock]) for a, b in zip(found, base, strict=True)]
            cells.append(f"{statistics.median(a for a, _ in pairs):.1f}")
            cells.append(f"{statistics.median(a / b for a, b in pairs):.2f}")
        lines.append(" | ".join(cells) + " |")
    return lines


def grid_costs(model: TransformersModel, rounds: int) -> list[str]:
    """Time grid search with more and more phrases."""
    runs: dict[str, Callable[[], int]] = {}
    shapes: dict[str, str] = {}
    for count in (0, 1, 2, 4, 6):
        phrases = PHRASES[:count]
        cells = 1 + sum(len(model.encode(phrase, at_start=False)) for phrase in phrases)
        query = compile_query(
            '"A story:[X]" where INCLUDES(X, phrases) and len(TOKENS(X)) == 24', name="grid"
        )

        def act(query: Any = query, phrases: list[str] = phrases, label: str = str(count)) -> int:
            results = run_program(
                query, {"phrases": phrases}, model=model, decoder="grid(n=4)", max_rows=512
            )
            usage = results[0].usage
            shapes[label] = f"{usage.rows / usage.forward_passes:.1f}"
            return usage.forward_passes

        runs[f"{count} | {cells}"] = act
    rows = [row.split(" | ", 2) for row in compare(runs, rounds)]
    return [f"{count} | {cells} | {shapes[count]} | {rest}" for count, cells, rest in rows]


def new_masks(model: TransformersModel) -> list[str]:
    """Time the first search with more and more phrases, when no mask is known: CPU seconds."""
    names = ["len(TOKENS(X)) == 24", "len(X) < 90", 'STOPS_AT(X, ".") and len(TOKENS(X)) < 24']
    queries = [f'"A story:[X]" where INCLUDES(X, phrases) and {name}' for name in names]

    def spent(query: str, phrases: list[str]) -> float:
        program, began = compile_query(query), time.process_time()
        decoder = "grid(n=4, max_len=64)"
        run_program(program, {"phrases": phrases}, model=model, decoder=decoder, max_rows=512)
        return time.process_time() - began

    rows = []
    for name, query in zip(names, queries, strict=True):
        spent(query, ["kernels are loaded"])
        found = [spent(query, PHRASES[:count]) for count in (1, 2, 4, 6, 9)]
        rows.append(" | ".join([f"`{name}`", *(f"{seconds:.2f}" for seconds in found)]) + " |")
    return rows


def forced_runs(model: TransformersModel) -> list[str]:
    """Count what forced text saves."""
    queries = {
        "one of two long texts": '"Answer:[X]" where X in ["' + "yes, certainly and gladly so, "
        'as ever before", "no, certainly not, neither now nor ever after"]',
        "a form": '"Form:[X]" where REGEX(X, r"\\\\{\\"name\\": \\"[a-z]{3}\\", '
        '\\"happiness\\": [0-9]{2}, \\"comment\\": \\"none\\"\\\\}")',
    }
    rows = []
    for name, text in queries.items():
        result = run_program(compile_query(text), model=model, decoder="argmax")[0]
        usage = result.usage
        rows.append(
            f"{name} | {usage.generated_tokens + usage.forced_tokens} | {usage.forward_passes} |"
        )
    return rows


if __name__ == "__main__":
    main()

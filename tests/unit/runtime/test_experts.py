"""Experts that are buffered, gated and watched: what is computed, and what is counted."""

import copy
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.script import ask, end, run_script
from reference.tiny_models import (
    DECODER_START,
    SOURCE_END,
    tiny_model,
    tiny_source_model,
    tiny_tokenizer,
)

from lmql_like.errors import ModelError
from lmql_like.grammars.formulas import matches
from lmql_like.runtime import (
    transformers_doctor,
    transformers_expert_setup,
    transformers_experts,
)
from lmql_like.runtime.sizes import parse_size
from lmql_like.runtime.transformers_expert_buffer import (
    ExpertBuffer,
    FileStore,
    HostStore,
    save_experts,
)
from lmql_like.runtime.transformers_expert_setup import ExpertOptions, set_up_experts
from lmql_like.runtime.transformers_experts import expert_layers, expert_weights
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_model import TransformersModel, load_model
from lmql_like.runtime.transformers_routing import RoutingRecorder

CPU = torch.device("cpu")
BUFFERED = ["qwen3_moe", "mixtral", "gpt_oss", "deepseek_v3", "nemotron_h", "qwen3_next", "jamba"]
ONE_EXPERT = 1.0  # in experts


def fresh(kind):
    return copy.deepcopy(tiny_model(kind))


def logits_of(model, ids):
    with torch.inference_mode():
        return model(input_ids=torch.tensor(ids), use_cache=False).logits


def budget_of(model, experts):
    layers = expert_layers(model)
    size = HostStore([expert_weights(layer.experts) for layer in layers]).size(0)
    return int(size * experts)


class CountingStore(HostStore):
    """A store that knows how many bytes of what it handed out are alive."""

    alive = peak = 0

    def load(self, key, device):
        weights = super().load(key, device)
        for weight in weights.values():
            size = weight.numel() * weight.element_size()
            self.alive += size
            weakref.finalize(weight, self._died, size)
        self.peak = max(self.peak, self.alive)
        return weights

    def _died(self, size):
        self.alive -= size


def buffered(monkeypatch, model, experts, **options):
    """Set a model up with room for so many experts; return its reporter and its store."""
    stores = []

    def store(weights, _device, _file):
        stores.append(CountingStore(weights))
        return stores[0]

    monkeypatch.setattr(transformers_expert_setup, "_store", store)
    wanted = ExpertOptions(budget=budget_of(model, experts), **options)
    return set_up_experts(model, wanted, device=CPU), stores[0]


@pytest.mark.parametrize("kind", BUFFERED)
@pytest.mark.parametrize("experts", [1, 2.5, 100])
@pytest.mark.parametrize("prefetch", [True, False])
def test_a_buffer_changes_no_bit_and_keeps_its_budget(kind, experts, prefetch, monkeypatch):
    model, resident = fresh(kind), fresh(kind)
    prompts = [[[5, 9, 3, 77, 21, 100]], [[4], [8], [90]], [[7, 7]] * 40]
    usual = [logits_of(model, ids) for ids in prompts]
    set_up_experts(resident, ExpertOptions(adaptive_gate=2.0), device=CPU)  # never closes
    wanted = [logits_of(resident, ids) for ids in prompts]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(usual, wanted, strict=True))
    reporter, store = buffered(monkeypatch, model, experts, prefetch=prefetch)
    for _ in range(3):
        for ids, logits in zip(prompts, wanted, strict=True):
            assert torch.equal(logits_of(model, ids), logits)
    report = reporter.buffer.report
    assert store.peak == report.peak <= report.budget
    assert report.misses > 0
    assert report.moved == store.size(0) * (report.misses + report.prefetches)
    assert report.hits + report.misses > 0
    if experts == 1:
        assert report.hits == 0
    if experts == 100:
        assert report.misses + report.prefetches <= sum(
            layer.experts.num_experts for layer in expert_layers(model)
        )


def test_rows_are_as_if_fresh_with_a_buffer(monkeypatch):
    from lmql_like.runtime.state_law import TOLERANCE, worst_difference

    model = fresh("qwen3_moe")
    reference = tiny_model("qwen3_moe")
    buffered(monkeypatch, model, 3)
    states = StateMaker(model, min_shared=1)
    worst = worst_difference(
        lambda n: states.make("shared", n),
        lambda ids: logits_of(reference, [list(ids)])[0].numpy(),
        128,
    )
    assert worst < TOLERANCE


def test_prompts_do_not_flush_what_is_needed_often(monkeypatch):
    model = fresh("qwen3_moe")
    reporter, _ = buffered(monkeypatch, model, 5, prefetch=False)
    for _ in range(4):
        logits_of(model, [[5]])
    before = reporter.buffer.report.hits
    logits_of(model, [list(range(2, 120))])
    assert reporter.buffer.report.bypassed > 0
    misses = reporter.buffer.report.misses
    logits_of(model, [[5]])
    assert reporter.buffer.report.misses == misses
    assert reporter.buffer.report.hits > before


def test_prefetching_turns_misses_into_hits(monkeypatch):
    """Two layers whose routers and inputs are alike: the guess is the truth."""
    ids = [[[int(token)]] for token in np.random.default_rng(0).integers(3, 128, 60)]
    misses = {}
    for prefetch in (False, True):
        model = fresh("mixtral")
        second = model.model.layers[1]
        second.self_attn.o_proj.weight.data.zero_()  # so that what is guessed is what comes
        reporter, _ = buffered(monkeypatch, model, 4, prefetch=prefetch)
        for row in ids:
            logits_of(model, row)
        report = reporter.buffer.report
        misses[prefetch] = report.misses
        assert (report.prefetch_hits > 0) == prefetch
    assert misses[True] < misses[False]


def test_a_file_holds_the_same_experts(tmp_path):
    weights = [expert_weights(layer.experts) for layer in expert_layers(tiny_model("gpt_oss"))]
    save_experts(weights, tmp_path / "experts.safetensors")
    file, host = FileStore(tmp_path / "experts.safetensors"), HostStore(weights)
    assert file.size(1) == host.size(1)
    for key in [(0, 0), (1, 3)]:
        found, wanted = file.load(key, CPU), host.load(key, CPU)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_budget_below_an_expert_is_refused():
    model = fresh("qwen3_moe")
    with pytest.raises(ModelError, match="the budget is 100") as caught:
        set_up_experts(model, ExpertOptions(budget=100), device=CPU)
    assert caught.value.code == "M116"


def test_a_model_that_is_spread_has_no_budget():
    with pytest.raises(ModelError, match="spread") as caught:
        load_model(expert_budget=2**20, device_map="auto")
    assert caught.value.code == "M117"


def test_a_mixture_of_an_unknown_kind_is_examined_though_its_experts_are_ours(monkeypatch):
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    model = fresh("qwen3_moe")
    set_up_experts(model, ExpertOptions(budget=budget_of(model, 2)), device=CPU)
    assert transformers_doctor.choose_mode(model) == ("shared", "")


@pytest.mark.parametrize("kind", ["llama", "jetmoe"])
@pytest.mark.parametrize("options", [ExpertOptions(budget=2**20), ExpertOptions(adaptive_gate=0.2)])
def test_models_without_experts_of_the_usual_kind_are_refused(kind, options):
    with pytest.raises(ModelError) as caught:
        set_up_experts(fresh(kind), options, device=CPU)
    assert caught.value.code == "M117"


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(2, 9))
def test_a_buffer_stays_within_its_budget_whatever_is_asked(seed, n_asked, room):
    rng = np.random.default_rng(seed)
    layers = [{"up": torch.zeros(6, 4, 2)}, {"up": torch.zeros(6, 3, 2)}]
    store = CountingStore(layers)
    buffer = ExpertBuffer(store, 2, 32 * room, CPU, n_staged=int(rng.integers(4)))
    for _ in range(n_asked):
        buffer.begin_pass(int(rng.choice([1, 9])))
        buffer.prefetch(int(rng.integers(2)), [int(e) for e in rng.integers(0, 6, 3)])
        layer = int(rng.integers(2))
        for expert in buffer.order(layer, sorted({int(e) for e in rng.integers(0, 6, 4)})):
            weights = buffer.fetch(layer, expert)
            assert weights["up"].shape == layers[layer]["up"].shape[1:]
            del weights
    assert store.peak <= buffer.report.peak <= buffer.report.budget == 32 * room


# -- adaptive gating -------------------------------------------------------------------------


def test_adaptive_gating_at_its_ends_is_all_experts_or_the_first():
    ids = [[5, 9, 3, 77, 21, 100]]
    usual = logits_of(tiny_model("mixtral"), ids)
    never, always = fresh("mixtral"), fresh("mixtral")
    reporter = set_up_experts(never, ExpertOptions(adaptive_gate=1.0), device=CPU)
    assert torch.equal(logits_of(never, ids), usual)
    assert reporter.to_json()["adaptive_gate"] == {"saved": 0, "asked": 2 * 2 * 6}
    reporter = set_up_experts(always, ExpertOptions(adaptive_gate=-1.0), device=CPU)
    found = logits_of(always, ids)
    assert reporter.to_json()["adaptive_gate"] == {"saved": 2 * 6, "asked": 2 * 2 * 6}
    first = fresh("mixtral")  # whose routers give the chosen experts weights that sum to 1
    for layer in expert_layers(first):
        layer.router.top_k = 1
    assert torch.allclose(found, logits_of(first, ids), atol=1e-5)


def test_adaptive_gating_saves_where_one_expert_leads():
    saved = []
    for margin in (0.0, 0.2, 0.6):
        model = fresh("qwen3_moe")
        reporter = set_up_experts(model, ExpertOptions(adaptive_gate=margin), device=CPU)
        logits_of(model, [list(range(2, 100))])
        saved.append(reporter.to_json()["adaptive_gate"]["saved"])
    assert saved[0] > saved[1] > saved[2]


# -- routing -----------------------------------------------------------------------------------


def test_routing_is_what_the_routers_say():
    model = fresh("qwen3_moe")
    recorder = RoutingRecorder(model)
    state = StateMaker(model, recorder=recorder).make("shared", 2)
    prompts, new = [[5, 9, 3], [8, 4, 4, 90, 17]], [[11], [12]]
    state.extend(prompts, [1, 1])
    state.extend(new, [1, 1])
    report = recorder.to_json()
    assert (report["read_tokens"], report["generated_tokens"]) == (8, 2)
    assert report["experts_per_token"] == 2
    counts = [np.zeros(4), np.zeros(4)]
    entropies = [0.0, 0.0]
    for number, (prompt, last) in enumerate(zip(prompts, new, strict=True)):
        with torch.inference_mode():
            rows = torch.tensor([prompt + last])
            logits = model(input_ids=rows, use_cache=False, output_router_logits=True).router_logits
        routed = recorder.routed_tokens()[number]
        assert routed.token_id == last[0]
        for layer, of_layer in enumerate(logits):
            chances = of_layer.softmax(-1)
            best = chances.topk(2)
            counts[layer] += np.bincount(best.indices.reshape(-1), minlength=4)
            entropies[layer] -= float((chances * chances.log()).sum())
            assert list(routed.experts[layer]) == best.indices[-1].tolist()
            assert routed.weights[layer] == pytest.approx(best.values[-1].tolist(), abs=1e-4)
    for layer, found in enumerate(report["layers"]):
        assert found["load"] == pytest.approx((counts[layer] / 20).tolist(), abs=1e-3)
        assert found["router_entropy"] == pytest.approx(entropies[layer] / 10, abs=1e-3)


@pytest.mark.parametrize("kind", ["qwen3_moe", "qwen3_next", "jamba", "mixtral"])
@pytest.mark.parametrize("mode", [None, "recompute"])
def test_a_trace_knows_where_each_token_went(kind, mode):
    hf = fresh(kind)
    reporter = set_up_experts(hf, ExpertOptions(routing=True), device=CPU)
    model = TransformersModel(hf, tiny_tokenizer(), cache_mode=mode, experts=reporter)
    inputs = [{}, {}]
    results = run_script(script, inputs, model=model, decoder="beam(n=3)", trace=True)
    routers = [layer.router for layer in expert_layers(tiny_model(kind))]
    compared = 0
    for result in results:
        for answer in result.trace.answers:
            question = answer.question
            if question.routing is None:  # recomputed rows that are alike are run once
                assert mode == "recompute"
                continue
            ids = [*model.encode("hello", at_start=True)]
            chosen = [a.token_id for a in result.trace.answers if a.number < answer.number]
            wanted = chosen_by(tiny_model(kind), routers, [*ids, *chosen])
            assert question.routing.experts == wanted
            assert len(question.routing.entropies) == len(wanted)
            compared += 1
    assert compared > 6


def chosen_by(hf, routers, ids):
    """Return the experts that a fresh run chooses for the last token."""
    chosen = []
    hooks = [
        router.register_forward_hook(lambda _module, _args, out: chosen.append(out[2][-1]))
        for router in routers
    ]
    logits_of(hf, [ids])
    for hook in hooks:
        hook.remove()
    return tuple(tuple(experts.tolist()) for experts in chosen)


@pytest.mark.parametrize("kind", ["longcat_flash", "dbrx", "deepseek_v3", "jamba"])
def test_every_choice_is_counted_once(kind):
    model = fresh(kind)
    recorder = RoutingRecorder(model)
    state = StateMaker(model, recorder=recorder).make("recompute", 1)
    state.extend([[5, 9, 3, 77]], [1])
    routed = recorder.last_of_row(0)
    layers = recorder.to_json()["layers"]
    assert len(layers) == len(routed.experts) > 0
    for layer, experts in zip(layers, routed.experts, strict=True):
        assert sum(layer["load"]) == pytest.approx(1.0, abs=1e-3)
        assert all(layer["load"][expert] > 0 for expert in experts)


def test_dropped_tokens_are_counted():
    model = copy.deepcopy(tiny_source_model("switch_transformers"))
    recorder = RoutingRecorder(model)
    maker = StateMaker(model, source_end=SOURCE_END, recorder=recorder)
    state = maker.make("rows-by-length", 1)
    start = [5, 6, SOURCE_END, DECODER_START["switch_transformers"]]
    state.extend([[*start, 7, 7, 7, 7, 7, 7]], [0])
    (layer,) = recorder.to_json()["layers"]
    assert layer["dropped"] == 0  # a decoder's tokens find room, though the capacity is 2
    for module in model.get_decoder().modules():
        if hasattr(module, "expert_capacity"):
            module.expert_capacity = 2
    state.extend([[7, 7, 7, 7, 7, 7]], [0])
    (layer,) = recorder.to_json()["layers"]
    assert layer["dropped"] > 0


# -- together ------------------------------------------------------------------------------------


def script(values, _arguments):
    return end() if values else ask("hello", "X", matches("[a-d]{6}"))


def test_a_run_reports_its_experts(tmp_path, monkeypatch):
    monkeypatch.setattr(
        transformers_expert_setup.platformdirs, "user_cache_path", lambda _: tmp_path
    )
    folder = tmp_path / "model"
    tiny_model("qwen3_moe").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    plain = load_model(str(folder), device="cpu")
    (wanted,) = run_script(script, model=plain)
    assert wanted.usage.experts is None
    budget = budget_of(tiny_model("qwen3_moe"), 3)
    for _ in range(2):  # the second time the experts' file is there
        model = load_model(str(folder), device="cpu", expert_budget=budget, routing=True)
        (result,) = run_script(script, model=model)
        assert result.token_ids == wanted.token_ids
        assert result.logprob == pytest.approx(wanted.logprob, abs=1e-5)
        report = result.usage.experts
        assert 0 < report["buffer"]["peak"] <= budget
        assert report["routing"]["generated_tokens"] > 1
        assert len(model.experts.routed_tokens()) == report["routing"]["generated_tokens"]
    assert len(list((tmp_path / "experts").iterdir())) == 1
    gated = load_model(str(folder), device="cpu", adaptive_gate=-1.0)
    (result,) = run_script(script, model=gated)
    assert result.usage.experts["adaptive_gate"]["saved"] > 0


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "olmoe", "deepseek_v3", "gpt_oss"])
def test_a_batch_of_a_mixture_is_its_rows_alone(kind):
    model = TransformersModel(tiny_model(kind), tiny_tokenizer())
    rows = [[5], [9, 3, 77, 21], [8, 8, 8, 8, 8, 8, 8], [4, 100]]
    together = model.new_state(4).extend(rows, [1] * 4)
    for row, block in zip(rows, together, strict=True):
        (alone,) = model.new_state(1).extend([row], [1])
        assert np.allclose(block, alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["switch_transformers", "nllb-moe"])
def test_a_batch_is_its_rows_alone_where_a_capacity_drops_tokens(kind):
    model = tiny_source_model(kind)
    maker = StateMaker(model, source_end=SOURCE_END)
    start = DECODER_START[kind]
    rows = [
        [*source, SOURCE_END, start, *rest]
        for source, rest in [([7] * 6, [7] * 5), ([7] * 6, [9]), ([5] * 6, [7] * 5), ([7], [])]
    ]
    keep = [len(row) - row.index(SOURCE_END) - 1 for row in rows]
    together = maker.make("rows-by-length", 4).extend(rows, keep)
    for row, kept, block in zip(rows, keep, together, strict=True):
        (alone,) = maker.make("rows-by-length", 1).extend([row], [kept])
        assert np.allclose(block, alone, atol=1e-5)


def test_the_capacity_of_that_test_does_drop_tokens():
    model = copy.deepcopy(tiny_source_model("switch_transformers"))
    ids = torch.tensor([[7] * 6 + [SOURCE_END]])
    with torch.inference_mode():
        few = model.get_encoder()(input_ids=ids).last_hidden_state
        for module in model.modules():
            if hasattr(module, "expert_capacity"):
                module.expert_capacity = 100
        many = model.get_encoder()(input_ids=ids).last_hidden_state
    assert not torch.allclose(few, many, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("prefetch", [True, False])
def test_a_buffer_on_a_gpu_changes_no_bit(prefetch):
    device = torch.device("cuda")
    ids = torch.tensor([[5, 9, 3, 77]], device=device)
    everything, some = fresh("qwen3_moe"), fresh("qwen3_moe")
    outputs = []
    for model, experts in ((everything, 100), (some, 3)):
        options = ExpertOptions(budget=budget_of(model, experts), prefetch=prefetch)
        reporter = set_up_experts(model, options, device=device)
        model.to(device)
        with torch.inference_mode():
            outputs.append([model(input_ids=ids, use_cache=False).logits for _ in range(4)])
        assert reporter.buffer.report.peak <= reporter.buffer.report.budget
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("500MB", 500_000_000), ("1.5g", 3 * 2**29), ("64 KiB", 65536), ("7", 7)],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "2 gigabytes", "-1", "1i"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


def test_experts_run_here_as_grouped_products_do():
    """With nothing asked for but a gate that never closes, not a bit changes (GPT-OSS: one)."""
    for kind in [kind for kind in BUFFERED if kind != "gpt_oss"]:
        model = fresh(kind)
        wanted = logits_of(model, [[5, 9, 3, 77], [8, 8, 1, 2]])
        set_up_experts(model, ExpertOptions(adaptive_gate=2.0), device=CPU)
        assert torch.equal(logits_of(model, [[5, 9, 3, 77], [8, 8, 1, 2]]), wanted)
        assert transformers_experts.expert_layers(model)


def test_the_command_line_reports_experts():
    from click.testing import CliRunner

    from lmql_like.cli import main

    query = ["run", "-c", '"Q: What is the capital of France?\\nA:[X]" where STOPS_AT(X, "\\n")']
    plain = CliRunner().invoke(main, query)
    result = CliRunner().invoke(main, [*query, "--routing", "--adaptive-gate", "1.0"])
    assert result.exit_code == plain.exit_code == 0
    assert result.stdout == plain.stdout
    assert "-- adaptive gate: 0 of " in result.stderr
    assert "-- routing: " in result.stderr
    assert "model.layers.3.mlp.experts: load " in result.stderr
    wrong = CliRunner().invoke(main, [*query, "--expert-budget", "much"])
    assert wrong.exit_code == 2
    assert "is no size" in wrong.output
    small = CliRunner().invoke(main, [*query, "--expert-budget", "1KB"])
    assert small.exit_code == 3
    assert "error[M116]" in small.output

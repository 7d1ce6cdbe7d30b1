"""What a run does between the program and the model, on a toy model."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from reference.script import ask, end, run_script, start_script

from lmql_like.errors import GrammarError, ModelError, RunError
from lmql_like.grammars.formulas import (
    FALSE,
    TRUE,
    integer,
    matches,
    one_of,
    stops_at,
    stops_before,
    token_count,
)
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program, start_run
from lmql_like.runtime.toy_model import ToyModel

SINGLES = [bytes([byte]) for byte in range(256)]
PAIRS = [b"ab", b"abc", b"hello", b" wor", b" world", b"\n\n", b".\n", b"x\ny"]
VOCABULARY = Vocabulary([*SINGLES, *PAIRS, b""], eos_token_ids=[264])


def toy(**options):
    return ToyModel(VOCABULARY, **options)


class Biased(ToyModel):
    """A toy whose likeliest next token follows a fixed text."""

    def __init__(self, text, start="", **options):
        super().__init__(VOCABULARY, spread=1.0, **options)
        self.text, self.begin = text.encode(), start.encode()

    def logits_after(self, ids):
        logits = super().logits_after(ids)
        spelled = b"".join(VOCABULARY.tokens[i] for i in ids)
        at = len(spelled) - len(self.begin)
        for token_id, data in enumerate(VOCABULARY.tokens):
            if data and self.text[at:].startswith(data):
                logits[token_id] += 20 + len(data)
        if at >= len(self.text):
            logits[264] += 30
        return logits


def one_hole(formula, text="Say:", follow="", behind=None):
    def script(values, _arguments):
        return (
            end(follow if behind is None else behind) if values else ask(text, "X", formula, follow)
        )

    return script


def spelled(result):
    return b"".join(VOCABULARY.tokens[i] for i in result.token_ids).decode()


def test_what_can_only_be_one_text_is_never_asked():
    model = toy()
    (result,) = run_script(one_hole(one_of(["hello world"])), model=model)
    assert (result.text, result.status, result.logprob) == ("Say:hello world", "complete", 0.0)
    assert model.forward_passes == 0
    assert (result.usage.forced_tokens, result.usage.unscored_tokens) == (2, 2)
    assert result.usage.generated_tokens == 0


def test_beams_score_a_forced_tail_in_one_pass():
    model = toy()
    (result,) = run_script(one_hole(one_of(["hello world"])), model=model, decoder="beam(n=2)")
    assert model.forward_passes == result.usage.forward_passes == 1
    assert result.usage.unscored_tokens == 0
    ids = result.token_ids
    wanted = 0.0
    for at in (len(ids) - 2, len(ids) - 1):
        logits = model.logits_after(ids[:at]).astype(float)
        wanted += logits[ids[at]] - np.log(np.exp(logits).sum())
    assert result.logprob == pytest.approx(wanted, abs=1e-5)


def test_a_prompt_is_read_in_one_pass():
    model = toy()
    (result,) = run_script(one_hole(one_of(["a", "b"]), text="word " * 50), model=model)
    assert model.forward_passes == 1
    assert model.tokens_fed == result.usage.prompt_tokens == len(result.token_ids) - 1
    assert result.usage.generated_tokens == 1


def test_forced_text_between_choices_costs_no_pass():
    model = toy()
    formula = one_of([f"{first} and then {last}" for first in "pq" for last in "uv"])
    (result,) = run_script(one_hole(formula), model=model)
    assert model.forward_passes == 2
    assert result.usage.generated_tokens == 2
    assert result.usage.forced_tokens == len(" and then ")
    assert result.usage.unscored_tokens == 0


def test_the_last_forced_token_is_left_to_the_model():
    # " wor" is forced up to a choice, but the model prefers one token for " world".
    formula = one_of(["hello world!", "hello worst!"])
    (result,) = run_script(one_hole(formula), model=Biased("Say:hello world!"))
    assert [VOCABULARY.tokens[i] for i in result.token_ids[-3:]] == [b"hello", b" world", b"!"]
    assert result.usage.generated_tokens == 1


def test_a_hole_ends_at_the_literal_text_behind_it():
    model = Biased("Say:12.\nNext")
    script = one_hole(integer(), follow=".\nNext")
    (result,) = run_script(script, model=model)
    assert result.variables == {"X": "12"}
    assert result.text == "Say:12.\nNext"
    assert result.logprob > -1.0  # "." and ".\n" carry the end's probability


def test_text_behind_a_hole_that_the_hole_may_hold_does_not_end_it():
    (result,) = run_script(one_hole(matches(r"[a-z.]*"), follow="."), model=Biased("Say:ab.ab"))
    assert result.variables == {"X": "ab.ab"}


def test_stop_phrases_are_taken_back_with_their_tokens():
    def script(values, _arguments):
        if not values:
            return ask("Q:", "X", stops_before("\n"))
        if len(values) == 1:
            return ask("|", "Y", one_of(["a", "b"]))
        return end()

    (result,) = run_script(script, model=Biased("Q:hellox\nyab"))
    assert result.variables["X"] == "hellox"
    assert result.text == "Q:hellox|" + result.variables["Y"]
    assert spelled(result) == result.text


def test_a_stop_phrase_is_part_of_the_text_where_it_is_kept():
    (result,) = run_script(one_hole(stops_at("\n")), model=Biased("Say:hello\nyab"))
    assert result.variables == {"X": "hello\n"}


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=3)", "sample(n=3)"])
def test_adjacent_holes_need_no_text_between(decoder):
    def script(values, _arguments):
        names = "ABC"
        if len(values) < 3:
            return ask("", names[len(values)], one_of(["a", "ab", "b"]), "")
        return end()

    for result in run_script(script, model=toy(), decoder=decoder):
        assert result.text == "".join(result.variables.values()) == spelled(result)


def test_an_impossible_hole_is_a_dead_end_with_its_prefix():
    def script(values, arguments):
        if not values:
            return ask("Pick ", "X", one_of(["a", "b"]))
        if len(values) == 2:
            return end()
        return ask(" then ", "Y", FALSE if values[0][1] == arguments["bad"] else one_of(["ok"]))

    model = Biased("Pick a then")
    results = run_script(script, [{"bad": "a"}, {"bad": "b"}], model=model)
    assert [result.status for result in results] == ["dead-end", "complete"]
    assert results[0].text == "Pick a then "
    assert results[0].variables == {"X": "a"}


def test_limits_truncate_one_result_and_not_the_others():
    inputs = [{"n": 3}, {"n": 30}]

    def script(values, arguments):
        return end() if values else ask("p" * arguments["n"], "X", matches("[a-z]{9}"))

    results = run_script(script, inputs, model=toy(), decoder="argmax(max_len=20)")
    assert [result.status for result in results] == ["complete", "truncated"]
    assert results[1].text == "p" * 30
    (result,) = run_script(script, inputs[:1], model=toy(max_length=8))
    assert result.status == "truncated"
    assert len(result.token_ids) == 8
    assert result.text == spelled(result)


def test_a_token_limit_still_closes_the_text():
    formula = matches(r'"[a-z]*"') & token_count(0, 6)
    for result in run_script(one_hole(formula), model=toy(), decoder="sample(n=20)"):
        assert re.fullmatch(r'"[a-z]*"', result.variables["X"])


def failing(values, arguments):
    if not values:
        return ask("v:", "X", one_of(["a", "b"]))
    if values[0][1] == arguments["fails_at"]:
        raise RunError("R101", "the author's mistake")
    return end()


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=2)", "sample(n=3)"])
def test_one_inputs_error_is_its_own(decoder):
    with pytest.raises(RunError, match="the author's mistake"):
        run_script(failing, [{"fails_at": "a"}], model=Biased("v:a"), decoder=decoder)
    inputs = [{"fails_at": "z"}, {"fails_at": "a"}, {"fails_at": "y"}]
    results = run_script(failing, inputs, model=Biased("v:a"), decoder=decoder)
    by_input = {n: [r for r in results if r.input_index == n] for n in range(3)}
    assert [result.status for result in by_input[1]] == ["error"]
    assert by_input[1][0].error.code == "R101"
    assert "the author's mistake" in by_input[1][0].to_json()["error"]
    for n in (0, 2):
        assert {result.status for result in by_input[n]} == {"complete"}


def test_an_error_at_the_start_is_its_inputs_own():
    def script(_values, arguments):
        if arguments["x"]:
            raise RunError("R101", "no start")
        return end("fine")

    results = run_script(script, [{"x": 1}, {"x": 0}], model=toy())
    assert [result.status for result in results] == ["error", "complete"]


def test_text_that_cannot_be_spelled_is_its_inputs_own_error():
    model = ToyModel(Vocabulary([b"a", b"b", b":", b""], eos_token_ids=[3]))

    def script(values, arguments):
        return end() if values else ask(arguments["x"] + ":", "X", one_of("ab"))

    results = run_script(script, [{"x": "a"}, {"x": "\u00e9"}], model=model)
    assert [result.status for result in results] == ["complete", "error"]
    assert results[1].error.code == "M202"


@pytest.mark.parametrize("text", ["hello", None])
def test_samples_that_ask_nothing_are_all_there(text):
    formula = FALSE if text is None else one_of([text])
    results = run_script(one_hole(formula), model=toy(), decoder="sample(n=3)", max_rows=2)
    assert [result.status for result in results] == ["complete" if text else "dead-end"] * 3


def test_logits_that_are_no_numbers_end_the_run():
    class Broken(ToyModel):
        def logits_after(self, ids):
            return super().logits_after(ids) * np.float32(np.nan)

    for decoder in ("argmax", "beam(n=2)", "sample"):
        with pytest.raises(ModelError) as caught:
            run_script(one_hole(one_of("ab")), [{}, {}], model=Broken(VOCABULARY), decoder=decoder)
        assert caught.value.code == "M201"


def test_a_token_of_no_probability_is_never_taken():
    class Certain(ToyModel):
        def logits_after(self, _ids):
            logits = np.full(VOCABULARY.size, -np.inf, np.float32)
            logits[ord("b")] = 0.0
            return logits

    model = Certain(VOCABULARY)
    for decoder in ("argmax", "beam(n=2)", "sample(n=2)"):
        for result in run_script(one_hole(one_of("abc")), model=model, decoder=decoder):
            assert result.text == "Say:b"
            assert result.logprob == pytest.approx(0.0, abs=1e-6)
        (result, *_) = run_script(one_hole(one_of("ac")), model=model, decoder=decoder)
        assert (result.status, result.text) == ("dead-end", "Say:")


def test_samples_follow_the_masked_distribution():
    model = toy(spread=1.5)
    formula = one_of(["a", "b", "ab", "c"])
    results = run_script(one_hole(formula), model=model, decoder="sample(n=3000)", max_rows=3000)
    prompt = model.encode("Say:", at_start=True)
    first = np.exp(model.logits_after(prompt).astype(float))
    ids = [ord("a"), ord("b"), ord("c"), VOCABULARY.tokens.index(b"ab")]
    share = first[ids] / first[ids].sum()
    after = np.exp(model.logits_after([*prompt, ord("a")]).astype(float))
    stays = after[264] / (after[264] + after[ord("b")])
    wanted = {
        "a": share[0] * stays,
        "b": share[1],
        "c": share[2],
        "ab": share[3] + share[0] * (1 - stays),
    }
    found = Counter(result.variables["X"] for result in results)
    for text, probability in wanted.items():
        deviation = (probability * (1 - probability) / 3000) ** 0.5
        assert abs(found[text] / 3000 - probability) < 4 * deviation


def test_samples_are_repeatable_and_differ():
    texts = [
        [
            r.text
            for r in run_script(
                one_hole(matches("[a-z]{8}")), model=toy(), seed=seed, decoder="sample(n=3)"
            )
        ]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) == 3
    own = [
        run_script(one_hole(matches("[a-z]{8}")), model=toy(), seed=seed, decoder="sample(seed=5)")
        for seed in (1, 2)
    ]
    assert own[0][0].text == own[1][0].text


def test_no_temperature_is_argmax():
    script = one_hole(matches("[a-z]{8}"))
    (greedy,) = run_script(script, model=toy())
    for result in run_script(script, model=toy(), decoder="sample(n=2, temperature=0)"):
        assert result.token_ids == greedy.token_ids


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=4)", "beam(n=3)"])
@pytest.mark.parametrize("max_rows", [1, 2, 5, 32])
def test_fewer_rows_change_nothing(decoder, max_rows):
    inputs = [{"n": n} for n in range(7)]

    def script(values, arguments):
        if not values:
            return ask("p" * arguments["n"], "X", matches("[ab]{1,3}c"))
        return end()

    wanted = run_script(script, inputs, model=toy(), decoder=decoder)
    found = run_script(script, inputs, model=toy(), decoder=decoder, max_rows=max_rows)
    assert [result.text for result in found] == [result.text for result in wanted]


def test_a_shared_beginning_is_read_once():
    model = toy()
    inputs = [{"x": str(n)} for n in range(6)]

    def script(values, arguments):
        if values:
            return end()
        return ask("word " * 40 + arguments["x"] + ":", "X", one_of("ab"))

    run_script(script, inputs, model=model)
    assert model.forward_passes == 2
    assert model.tokens_fed < 201 + 6 * 4
    model = toy()
    run_script(script, inputs, model=model, max_rows=1)
    assert model.tokens_fed < 201 + 6 * 4


def test_hypotheses_at_different_holes_share_a_pass():
    def script(values, arguments):
        if len(values) < arguments["holes"]:
            return ask("next ", "ABC"[len(values)], one_of(["a", "b"]))
        return end()

    model = toy()
    run_script(script, [{"holes": n} for n in (1, 2, 3)], model=model)
    assert model.forward_passes == 3


def joined(events, input_index=0, lane=0):
    return "".join(
        event.text for event in events if (event.input_index, event.lane) == (input_index, lane)
    )


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=2)", "beam(n=3)"])
@pytest.mark.parametrize(
    "formula",
    [
        matches("[a-z]{5}"),
        stops_before("\n"),
        matches("(\u00e9|\u00e8|\U0001f642|\U0001f643){3}"),
        one_of(["hello", "hello world", "help"]),
    ],
)
def test_streamed_text_is_the_text(decoder, formula):
    inputs = [{"x": "1"}, {"x": "2"}]

    def script(values, arguments):
        if not values:
            return ask("Q" + arguments["x"], "X", formula & token_count(0, 25))
        return end("\u00fc.") if len(values) == 2 else ask(" - ", "Y", one_of("ab"))

    run = start_script(script, inputs, model=toy(seed=4), decoder=decoder)
    events = list(run.events())
    assert all(event.text for event in events)
    results = run.results()
    for n in range(2):
        own = [result for result in results if result.input_index == n]
        for lane, result in enumerate(own[:1] if "beam" in decoder else own):
            assert joined(events, n, lane) == result.text
    names = {event.hole for event in events}
    assert names in ({None, "X", "Y"}, {None, "Y"})


def test_text_is_streamed_as_soon_as_it_is_certain():
    run = start_script(one_hole(matches("[a-z]{5}")), model=toy())
    events = list(run.events())
    assert events[0].text == "Say:"
    assert len(events) >= 6 or any(len(e.text) > 1 for e in events[1:])


def test_a_result_tells_its_story():
    (result,) = run_script(one_hole(one_of("ab"), behind="!"), model=Biased("Say:a"))
    assert repr(result).startswith("<Result complete: X='a'")
    data = json.loads(json.dumps(result.to_json()))
    assert data["variables"] == {"X": "a"}
    assert data["usage"]["forward_passes"] == 1
    assert [(piece.data, piece.hole) for piece in result.segments] == [
        (b"Say:", None),
        (b"a", "X"),
        (b"!", None),
    ]


def test_a_program_that_never_writes_anything_is_ended():
    with pytest.raises(RunError) as caught:
        run_script(lambda *_: ask("", "X", one_of([""])), model=toy())
    assert caught.value.code == "R205"


# with the query language


def test_a_query_runs():
    program = compile_query(
        "sample(n=2, seed=3)\n"
        '"Pick:[X]." where X in ["hello", "hello world"]\n'
        'if X == "hello":\n'
        '    "Number[N: int]" where len(TOKENS(N)) < 4\n'
        "return len(X)\n"
    )
    results = run_program(program, {}, model=toy())
    assert len(results) == 2
    for result in results:
        assert result.value == len(result.variables["X"])
        assert result.text.startswith("Pick:" + result.variables["X"] + ".")
        assert result.decoder == "sample(n=2, seed=3)"
        assert ("N" in result.variables) == (result.variables["X"] == "hello")
    (result,) = run_program(program, model=toy(), decoder="argmax")
    assert result.decoder == "argmax"


def test_a_query_streams():
    pieces = []
    program = compile_query('"Pick:[X]." where X in ["a", "b"]\n')
    (result,) = run_program(program, model=toy(), stream=pieces.append)
    assert "".join(piece.text for piece in pieces) == result.text
    run = start_run(program, [{}], model=toy())
    assert "".join(piece.text for piece in run.events()) == run.results()[0].text


def test_a_constraint_that_cannot_be_compiled_names_its_place():
    program = compile_query(
        '"[X]" where STOPS_AT(X, "a") and len(TOKENS(X)) > n\n', name="mine.lmql"
    )
    with pytest.raises(GrammarError) as caught:
        run_program(program, {"n": 3}, model=toy())
    assert caught.value.code == "G104"
    assert "mine.lmql:1" in caught.value.render()


def test_text_may_be_free():
    (result,) = run_script(one_hole(TRUE), model=Biased("Say:hello w\u00f6rld"))
    assert result.variables["X"] == "hello w\u00f6rld"

"""Programs as plain functions, for tests of everything below the query language.

A script is a function from the values filled so far, a tuple of (name, text), and the
arguments to what comes next: `ask(text, name, formula, follow)` or `end(text, value)`.
"""

import itertools
from types import SimpleNamespace

from lmql_like.grammars.formulas import all_of, includes, one_of
from lmql_like.runtime.environment import Environment
from lmql_like.runtime.interpreter import Done, Fill, Hole
from lmql_like.runtime.run import Run
from lmql_like.runtime.search.decoders import parse_decoder
from lmql_like.source import Span


def ask(text, name, formula, follow=""):
    return ("ask", text, name, formula, follow)


def end(text="", value=None):
    return ("end", text, value)


class ScriptInterpreter:
    """Steps through a script as `Interpreter` steps through a program."""

    def __init__(self, script):
        self.script = script
        self.environment = Environment()

    def start(self, arguments=None):
        return self._step((), arguments or {})

    def fill(self, state, raw):
        values = (*state.values, (self.script(state.values, state.arguments)[2], raw))
        return self._step(values, state.arguments)

    def _step(self, values, arguments):
        step = self.script(values, arguments)
        state = SimpleNamespace(
            variables=dict(values),
            own_variables=dict(values),
            distributions={},
            values=values,
            arguments=arguments,
        )
        if step[0] == "end":
            return Done(state, step[1], step[2])
        _, text, name, formula, follow = step
        return Fill(state, text, Hole(name, formula, follow, Span(0, 0)))


def run_script(script, inputs=({},), *, model, decoder="argmax", seed=0, **options):
    """Run a script; return its results."""
    return start_script(
        script, inputs, model=model, decoder=decoder, seed=seed, **options
    ).results()


def start_script(
    script, inputs=({},), *, model, decoder="argmax", seed=0, first_index=0, **options
):
    """Return a run of a script that has not begun."""
    return Run(
        ScriptInterpreter(script),
        list(inputs),
        indices=itertools.count(first_index),
        model=model,
        decoder=parse_decoder(decoder),
        seed=seed,
        **{"raises": len(inputs) == 1, **options},
    )


def with_formulas(script):
    """Return a script whose constraints, sets of texts, are formulas."""

    def converted(values, arguments):
        step = script(values, arguments)
        if step[0] == "end":
            return step
        return (*step[:3], _formula(step[3]), step[4])

    return converted


class Phrased(frozenset):
    """Those of some texts in which one phrase of each goal occurs; `all` are the texts."""

    def __new__(cls, texts, goals):
        kept = [text for text in texts if all(any(p in text for p in goal) for goal in goals)]
        made = super().__new__(cls, kept)
        made.all = frozenset(texts)
        made.goals = list(dict.fromkeys(tuple(goal) for goal in goals))  # equal ones count once
        return made


def _formula(texts):
    goals = getattr(texts, "goals", ())
    return all_of(
        [one_of(sorted(getattr(texts, "all", texts))), *(includes(goal) for goal in goals)]
    )

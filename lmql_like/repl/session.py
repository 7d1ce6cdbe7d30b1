"""The state of a session: a program that grows, and what it has said so far.

Every input is compiled and run as a program that goes on behind the ones before it, with
their names, their prompt and their tokens; nothing is run twice. What has been reached is
a value, so an input that fails or is stopped leaves no trace, and `undo` is to drop the
last value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lmql_like.errors import QueryError
from lmql_like.language.code import Code
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import parse_argument
from lmql_like.language.program import Keep, Program, Run
from lmql_like.repl.pieces import Piece, join_pieces, read_piece, with_arguments
from lmql_like.runtime import run as runs
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.interpreter import Done, Interpreter
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.results import Result
from lmql_like.runtime.search.decoders import DecoderSpec, make_decoder, parse_decoder
from lmql_like.runtime.streaming import TextEvent
from lmql_like.source import Source, Span

__all__ = ["Attempt", "Session", "Turn"]

_END, _VALUE = -1, -2  # slots of the session's own: the end was reached; the last expression


@dataclass(frozen=True)
class Turn:
    """An input that was run.

    Attributes:
        piece: the input.
        program: what was run.
        results: its results, the one that was kept first.
        complete: what was reached.
        model: the model that it was run with.
        value: of the expression or `return` at its end.
        has_returned: a `return` ended the program before the input's end.
    """

    piece: Piece
    program: Program
    results: tuple[Result, ...]
    complete: Hypothesis
    model: LanguageModel
    value: Any
    has_returned: bool


class Attempt:
    """An input that is being run; iterate over `events`, then ask its session to keep it.

    Args:
        session: what it is an input of.
        piece: the input.
        program: what is run.
        run: the run, not begun.
        shown: how many characters of the text stand there already.
    """

    def __init__(
        self, session: Session, piece: Piece, program: Program, run: runs.Run, shown: int
    ) -> None:
        self.session = session
        self.piece = piece
        self.program = program
        self.run = run
        self.shown = shown

    def events(self) -> Iterator[list[TextEvent]]:
        """Run step by step; yield the new text of the first result, of many steps none."""
        left = self.shown
        for events in self.run.steps():
            found = []
            for event in events:
                if event.lane or event.input_index:
                    continue
                text = event.text[left:]
                left = max(0, left - len(event.text))
                if text:
                    found.append(replace(event, text=text))
            yield found


class Session:
    """A growing program with its settings.

    Args:
        load: returns a model by its name; None is the embedded one.
        model: name of the model.
        decoder: a decoder call; None is `argmax`.
        seed: makes random choices repeatable.

    Attributes:
        turns: the inputs that were kept.
        last: the last run, kept or not.
        last_asked: the last run in which the model was asked for a choice.
    """

    def __init__(
        self,
        load: Callable[[str | None], LanguageModel],
        *,
        model: str | None = None,
        decoder: str | None = None,
        seed: int | None = None,
    ) -> None:
        self.turns: list[Turn] = []
        self.last: Turn | None = None
        self.last_asked: Turn | None = None
        self.seed = seed
        self.model_name = model
        self._load = load
        self._spec = parse_decoder(decoder) if decoder else make_decoder("argmax")
        self._namespace: dict[str, Any] = {}
        self._count = 0

    # Settings

    @property
    def model(self) -> LanguageModel:
        """The model, loaded when it is first asked for."""
        return self._load(self.model_name)

    @property
    def decoder(self) -> str:
        """The decoder call."""
        return str(self._spec)

    @decoder.setter
    def decoder(self, call: str) -> None:
        self._spec = parse_decoder(call)

    def use_model(self, name: str | None) -> LanguageModel:
        """Go on with another model; it reads the prompt anew.

        Raises:
            ModelError: M1; the session keeps its model.
        """
        model = self._load(name)
        self.model_name = name
        return model

    # What was reached

    @property
    def complete(self) -> Hypothesis | None:
        """What the last input reached."""
        return self.turns[-1].complete if self.turns else None

    @property
    def text(self) -> str:
        """The prompt so far."""
        return self.complete.text if self.complete else ""

    @property
    def names(self) -> Mapping[str, Any]:
        """The values of the program's names, holes included."""
        return self.complete.step.state.names if self.complete else {}

    @property
    def holes(self) -> frozenset[str]:
        """The names of the holes that were filled."""
        return frozenset(name for turn in self.turns for name in turn.piece.holes)

    def undo(self) -> Turn:
        """Take the last input back.

        Raises:
            QueryError: Q505 where there is none.
        """
        if not self.turns:
            raise QueryError("Q505", "there is no input to take back")
        return self.turns.pop()

    def reset(self) -> None:
        """Forget all inputs; settings stay."""
        self.turns.clear()
        self.last = self.last_asked = None
        self._namespace = {}

    def program_text(self) -> str:
        """Return the program of all inputs, ready to be run as a file."""
        decoder = None if self.decoder == "argmax" else str(self._seeded())
        pieces = [turn.piece for turn in self.turns]
        return join_pieces(pieces, decoder=decoder, model=self.model_name)

    def _seeded(self) -> DecoderSpec:
        spec = self._spec
        if self.seed is None or "seed" not in spec.arguments:
            return spec
        return DecoderSpec(spec.name, {**spec.arguments, "seed": self.seed})

    # Running

    def begin(self, text: str) -> Attempt:
        """Return the run of an input; the session changes when it is kept.

        Raises:
            QueryError: the input is wrong, or does not fit the ones before it (Q501 to
                Q503).
        """
        self._count += 1
        piece = read_piece(Source(text, f"<input {self._count}>"), self.names)
        if piece.query.decoder is not None:
            raise _setting(piece, piece.query.decoder.span, "decoder", ":decoder beam(n=2)")
        if piece.query.model is not None:
            raise _setting(piece, piece.query.model.span, "model", ":model NAME")
        return self._begin(piece)

    def load(self, source: Source, arguments: Mapping[str, str]) -> Attempt:
        """Return the run of a file as the first input of a session of its own.

        That session has this one's settings, the file's decoder and model before them. This
        session stays as it is.

        Raises:
            QueryError: the file is wrong, or its arguments are (Q401, Q402, Q403, Q506).
            ModelError: its model cannot be loaded.
        """
        program = compile_query(source.text, name=source.name)
        values = _values(program, arguments)
        piece = read_piece(with_arguments(source, values), ())
        clause, model = piece.query.decoder, piece.query.model
        fresh = Session(
            self._load,
            model=model.name if model else self.model_name,
            decoder=str(make_decoder(clause.name, **clause.arguments) if clause else self._spec),
            seed=self.seed,
        )
        return fresh._begin(piece)

    def _begin(self, piece: Piece) -> Attempt:
        self._check_fit(piece)
        source = piece.source
        program = compile_query(
            piece.going_on,
            name=source.name,
            first_line=source.first_line,
            parameters=(),
            scope=self.names,
        )
        program = _watched(program, piece)
        run = runs.Run(
            Interpreter(program, namespace=self._namespace),
            [{}],
            model=self.model,
            decoder=self._spec,
            seed=self.seed,
            raises=True,
            source=program.source,
            trace=True,
            after=self._ready(),
        )
        return Attempt(self, piece, program, run, len(self.text))

    def _check_fit(self, piece: Piece) -> None:
        if self.turns and self.turns[-1].has_returned:
            raise QueryError(
                "Q501",
                "the program of this session has returned",
                help="take the input that returns back with :undo, or begin anew with :reset",
            )
        for turn in self.turns:
            earlier = turn.piece
            both = (earlier.clause_holes & piece.holes) | (earlier.holes & piece.clause_holes)
            if both:
                name = min(both)
                raise QueryError(
                    "Q503",
                    f"'{name}' is filled by two inputs, and a clause below one is about it",
                    source=piece.source,
                    span=Span(0, len(piece.source.text)),
                    help="in one program it would hold for both: give the hole another name",
                )

    def _ready(self) -> Hypothesis | None:
        """Return what was reached, in the tokens of the model that goes on."""
        complete, model = self.complete, self.model
        if complete is None or self.turns[-1].model is model:
            return complete
        tail = complete.step.text
        head = complete.text[: len(complete.text) - len(tail)]
        ids = model.encode(head, at_start=True)
        ids += model.encode(tail, at_start=False) if tail else []
        return replace(complete, ids=tuple(ids), n_fed=0, unscored=())

    def keep(self, attempt: Attempt) -> Turn:
        """Return what an input came to; it belongs to the session if it is complete."""
        results, found = attempt.run.results(), attempt.run.finished()
        complete, state = found[0], found[0].step.state
        reached = bool(state.slots.get(_END))
        if attempt.piece.last_return is not None and reached:
            value = state.names.get("_") if attempt.piece.last_return.value else None
        elif reached:
            value = state.slots.get(_VALUE)
        else:
            value = complete.step.value if isinstance(complete.step, Done) else None
        is_complete = complete.status == "complete"
        turn = Turn(
            attempt.piece,
            attempt.program,
            tuple(results),
            complete,
            self.model,
            value,
            has_returned=is_complete and not reached,
        )
        self.last = turn
        if results[0].trace is not None and results[0].trace.last is not None:
            self.last_asked = turn
        if is_complete:
            self.turns.append(turn)
        return turn


def _setting(piece: Piece, span: Span, what: str, command: str) -> QueryError:
    return QueryError(
        "Q502",
        f"the {what} of a session is no part of an input",
        source=piece.source,
        span=span,
        help=f"set it with a command: {command}",
    )


def _values(program: Program, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a file's arguments; defaults that are not given stay."""
    known = {parameter.name: parameter for parameter in program.parameters}
    listed = ", ".join(known) or "none"
    for name in arguments:
        if name not in known:
            raise QueryError(
                "Q402", f"the query has no argument '{name}'", help=f"It takes {listed}."
            )
    missing = [p.name for p in known.values() if p.is_required and p.name not in arguments]
    if missing:
        raise QueryError(
            "Q401",
            f"argument '{missing[0]}' missing",
            help=f"give it behind the file: {missing[0]}=VALUE",
        )
    return {name: parse_argument(known[name], text) for name, text in arguments.items()}


def _watched(program: Program, piece: Piece) -> Program:
    """Let a program note that it reached its end, and the value of its last expression."""
    instructions = list(program.instructions)
    tree = piece.last_expression
    last = instructions[-1] if instructions else None
    if tree is not None and isinstance(last, Run):
        code = Code.of(program.source, tree.value, last.span)
        instructions[-1] = Keep(last.span, code, _VALUE)
    true = Code(ast.Constant(value=True), "True", Span(0, 0), program.source.name)
    instructions.append(Keep(Span(0, 0), true, _END))
    return replace(program, instructions=tuple(instructions))

"""The deterministic automaton of a lexed grammar: lexer and parser in lockstep, lazily."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.closings import Closings
from lmql_like.grammars.automata.lazy_dfa import LazyDfa, check_limit
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.mask_memo import MaskMemo, doubled
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.compose import TOO_MANY
from lmql_like.kernels.handles import handle_of
from lmql_like.kernels.layouts import (
    CONTEXTS,
    ENTERED,
    EVERY_TERMINAL,
    LEXER_FULL,
    LEXER_ITEMS,
    LEXER_STATES,
    MACHINE_FULL,
    MACHINE_STATES,
    MOST_LEXER_STATES,
    OVERFLOW,
    THREADS,
    LexerArrays,
    MachineArrays,
)
from lmql_like.kernels.lexed_entries import (
    enter_first_machine_state,
    enter_lexed_advance,
    enter_lexed_compose,
    enter_lexed_symbols,
    enter_lexed_walk,
)
from lmql_like.kernels.lexer import rehash_lexer
from lmql_like.kernels.pairs import enter_called_pair_walk, enter_lexed_pair_walk
from lmql_like.kernels.threads import rehash_machine

__all__ = ["LexedDfa", "LexerTables"]

_STATES = 4096  # room at first; what is not used takes no memory
_PARTS = 16384  # of a memo for many terminals, at first
_MANY_TERMINALS = 48
_SEARCH = 20_000  # states that a search for a completion may see


@dataclass(frozen=True)
class LexerTables:
    """The terminals of a grammar; fields as in `kernels.layouts.LexerArrays`."""

    class_of_byte: NDArray[np.int32]
    edge_start: NDArray[np.int32]
    edge_low: NDArray[np.int32]
    edge_high: NDArray[np.int32]
    edge_to: NDArray[np.int32]
    terminal: NDArray[np.int32]
    accepts: NDArray[np.int8]
    guard_start: NDArray[np.int32]
    guards: NDArray[np.int32]
    guard_accepts: NDArray[np.int8]
    first: NDArray[np.int32]
    ignored: NDArray[np.int8]


class LexedDfa:
    """A `ByteMachine`; its states are sets of threads, see `kernels.threads`.

    Args:
        parser: the automaton of the rules, over terminals.
        tables: the terminals.
        limits: `max_states` bounds the states of lexer and machine, each.
        proven: whether every state surely has a completion (`grammars.dead_ends`); if not,
            each is searched for one before it is shown.
    """

    def __init__(
        self, parser: LazyDfa, tables: LexerTables, limits: Limits, *, proven: bool
    ) -> None:
        self._parser = parser
        self._limits = limits
        self._proven = proven
        self._live: dict[int, bool] = {}
        self._lock = threading.RLock()
        self._lexer = _lexer_room(tables)
        self._machine = _machine_room(int(tables.class_of_byte.max()) + 1)
        self._handle = self._make_handle()
        self._closings = Closings(self)
        classes = tables.class_of_byte
        self._n_classes = int(classes.max()) + 1
        self._only_byte = np.full(self._n_classes, -1, np.int32)
        for symbol in range(self._n_classes):
            members = np.flatnonzero(classes == symbol)
            if members.size == 1:
                self._only_byte[symbol] = members[0]
        self._start = 0
        if parser.start:
            self._start = self._shown(self._run(enter_first_machine_state, parser.start))

    @property
    def start(self) -> int:
        """The start state; 0 where nothing can match."""
        return self._start

    @property
    def n_states(self) -> int:
        """How many states have been made so far."""
        return int(self._machine.counts[MACHINE_STATES]) - 1

    @property
    def n_classes(self) -> int:
        """How many classes of bytes the terminals tell apart."""
        return self._n_classes

    @property
    def parser(self) -> LazyDfa:
        """The automaton of the rules, over terminals."""
        return self._parser

    @property
    def lexer(self) -> LexerArrays:
        """The terminals, and the lexer's states so far."""
        return self._lexer

    @property
    def capacity(self) -> int:
        """How many states there is room for; all are less."""
        return int(self._machine.table.shape[0])

    def run_beside(self, kernel: Callable[..., int], *args: Any) -> int:
        """Call a kernel of `kernels.lexed_guide` until it finds room."""
        return self._run(kernel, *args)

    def walk_beside(self, *args: Any) -> int:
        """Call the kernel of `kernels.pairs` that walks a trie until it finds room."""
        has_calls = self._parser.network is not None
        kernel = enter_called_pair_walk if has_calls else enter_lexed_pair_walk
        return self._run(kernel, *args)

    def step(self, state: int, byte: int) -> int:
        """Return the state behind a byte, be it live or not; 0 where no text goes on so."""
        data = np.array([byte], np.uint8)
        return self._run(enter_lexed_advance, state, 0, 1, data)

    @property
    def first(self) -> int:
        """The state before the text, be it live or not; 0 where nothing can match."""
        return self._run(enter_first_machine_state, self._parser.start) if self._parser.start else 0

    def following(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the state behind each byte, be it live or not, 0: no text goes on."""
        row = np.append(self.behind_classes(state), 0).astype(np.int32)
        return row[self._lexer.class_of_byte]  # class -1 reads the 0 at the end

    def behind_classes(self, state: int) -> NDArray[np.int32]:
        """Return int32[n_classes]: the state behind each class of bytes, be it live or not."""
        out = np.empty(self._n_classes, np.int32)
        self._run(enter_lexed_symbols, state, out)
        return out

    def accepting(self, state: int) -> int:
        """Return 1 where the text may end in a state, else 0."""
        return int(self._machine.accepting[state])

    def distance(self, state: int) -> int:
        """Return 0 or 1: whether at least one more byte is needed."""
        return 0 if self._machine.accepting[state] else 1

    def closing_distance(self, state: int) -> int:
        """Return the bytes of a completion, the same or less behind its first byte."""
        return self._closings.distance(state)

    def successors(self, state: int) -> list[int]:
        """Return the distinct live states behind one more byte."""
        return list(dict.fromkeys(target for target in self._targets(state).tolist() if target))

    def is_stopped(self, state: int) -> bool:  # noqa: ARG002
        """Return False: grammars have no stops."""
        return False

    def is_injecting(self, state: int) -> bool:  # noqa: ARG002
        """Return False: grammars have no stops."""
        return False

    def advance(self, state: int, data: bytes) -> int:
        """Return the state behind some bytes, 0 where no text goes on so."""
        array = np.frombuffer(data, np.uint8)
        return self._shown(self._run(enter_lexed_advance, state, 0, array.size, array))

    def advance_token(self, state: int, token_id: int, vocabulary: Vocabulary) -> int:
        """Return the state behind a token of a vocabulary, as `advance` behind its bytes."""
        start, data = vocabulary.flat
        first, last = int(start[token_id]), int(start[token_id + 1])
        return self._shown(self._run(enter_lexed_advance, state, first, last, data))

    def live_bytes(self, state: int) -> NDArray[np.bool_]:
        """Return bool[256]: the bytes that may follow a state."""
        flags = np.zeros(self._n_classes + 1, np.bool_)
        flags[:-1] = self._targets(state) > 0
        return flags[self._lexer.class_of_byte]  # class -1 reads the spare last flag

    def forced_bytes(self, state: int, limit: int = 4096) -> bytes:
        """Return the bytes that must follow a state, up to where it accepts or a choice begins."""
        forced = bytearray()
        while len(forced) < limit and not self._machine.accepting[state]:
            targets = self._targets(state)
            open_to = np.flatnonzero(targets)
            if open_to.size != 1 or self._only_byte[open_to[0]] < 0:
                break
            forced.append(self._only_byte[open_to[0]])
            state = int(targets[open_to[0]])
        return bytes(forced)

    def new_memo(self, vocabulary: Vocabulary, budget: int) -> MaskMemo:
        """Return an empty memo for the masks of this automaton over a vocabulary."""
        parts = _PARTS if self._lexer.first.size >= _MANY_TERMINALS else _PARTS // 4
        return MaskMemo(self._lexer.class_of_byte, None, vocabulary, budget, parts=parts)

    def mask(self, state: int, memo: MaskMemo, row: NDArray[np.int32]) -> None:
        """Add the bits of the tokens that may follow a state to a packed row."""
        tokens, spine = memo.vocabulary.sliced.handle, memo.vocabulary.spine
        memo.begin_mask()
        if not self._proven:
            ends = self.token_ends(state, memo)
            if ends.size:
                wanted = np.zeros(int(ends[-1]) + 1, np.uint8)
                wanted[ends] = 1
                self.mask_ending_in(state, memo, wanted, row)
        elif self._run(enter_lexed_compose, tokens, memo, spine, state, row) == TOO_MANY:
            row[:] = 0
            self._run(enter_lexed_walk, tokens, memo, state, np.empty(0, np.uint8), row)

    def mask_ending_in(
        self, state: int, memo: MaskMemo, wanted: NDArray[np.uint8], row: NDArray[np.int32]
    ) -> None:
        """As `mask`, for tokens that end in a state s with wanted[s] != 0."""
        tokens = memo.vocabulary.sliced.handle
        self._run(enter_lexed_walk, tokens, memo, state, wanted, row)

    def token_ends(self, state: int, memo: MaskMemo) -> NDArray[np.int32]:
        """Return the distinct states, ascending, in which the vocabulary's tokens end."""
        tokens, none = memo.vocabulary.sliced.handle, np.empty(0, np.int32)
        marked = np.zeros(self._machine.table.shape[0], np.uint8)
        while self._run(enter_lexed_walk, tokens, memo, state, marked, none) == TOO_MANY:
            marked = np.zeros(self._machine.table.shape[0], np.uint8)
        found = np.flatnonzero(marked).tolist()
        return np.array([end for end in found if self._shown(end)], np.int32)

    def targets(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""
        row = np.append(self._targets(state), 0).astype(np.int32)
        return row[self._lexer.class_of_byte]  # class -1 reads the 0 at the end

    def _targets(self, state: int) -> NDArray[np.int32]:
        out = np.empty(self._n_classes, np.int32)
        self._run(enter_lexed_symbols, state, out)
        if not self._proven:
            out[:] = [self._shown(target) for target in out.tolist()]
        return out

    def _shown(self, state: int) -> int:
        """Return a state if it has a completion, else 0.

        Breadth first, up to the first accepting state or one that is known to be live. What
        lies on the way there is live; where there is none, all that was seen is dead.

        Raises:
            GrammarError: G201 where the search goes on for too long to tell.
        """
        if state <= 0 or self._proven:
            return state
        if state not in self._live:
            came_from, layer = {state: 0}, [state]
            for current in layer:
                if self._machine.accepting[current] or self._live.get(current):
                    on_the_way = current
                    while on_the_way:
                        self._live[on_the_way] = True
                        on_the_way = came_from[on_the_way]
                    return state
                if len(layer) > _SEARCH:
                    raise GrammarError(
                        "G201",
                        f"after {_SEARCH} states it is not known whether a text goes on so: "
                        "lexemes that the rules put side by side are read as one",
                        help="ignore white space between them, or read the grammar without a "
                        'lexer: lexing="scannerless"',
                    )
                out = np.empty(self._n_classes, np.int32)
                self._run(enter_lexed_symbols, current, out)
                for target in np.unique(out[out > 0]).tolist():
                    if target not in came_from and self._live.get(target, True):
                        came_from[target] = current
                        layer.append(target)
            self._live.update(dict.fromkeys(layer, False))
        return state if self._live[state] else 0

    # -- room --------------------------------------------------------------------------

    def _run(self, kernel: Callable[..., int], *args: Any) -> int:
        """Call a kernel until it finds room; a memo among the arguments goes by its handle."""
        memo = next((arg for arg in args if isinstance(arg, MaskMemo)), None)
        parser = self._parser
        with self._lock:
            while True:
                given = [arg.handle if isinstance(arg, MaskMemo) else arg for arg in args]
                result = int(kernel(parser.handle, parser.calls, self._handle, *given))
                if result != OVERFLOW:
                    return result
                if memo is not None and memo.is_full:
                    memo.grow()
                elif parser.is_full:
                    parser.grow()
                else:
                    self._grow()

    def _make_handle(self) -> NDArray[np.int64]:
        return handle_of((*self._lexer, *self._machine))

    def _grow(self) -> None:
        """Double the array that was full."""
        lexer, machine = self._lexer, self._machine
        limit = min(self._limits.max_states, MOST_LEXER_STATES)
        check_limit("states of its lexer", "max_states", limit, lexer.counts[LEXER_STATES])
        check_limit("automaton states", "max_states", limit, machine.counts[MACHINE_STATES])
        full = int(lexer.counts[LEXER_FULL])
        if full >= 0:
            lexer.counts[LEXER_FULL] = -1
            lexer = lexer._replace(**{n: doubled(getattr(lexer, n)) for n in _LEXER_ROOM[full]})
            if full == LEXER_STATES:
                lexer = lexer._replace(buckets=np.zeros(2 * lexer.buckets.size, np.int32))
                rehash_lexer(lexer)
            if full == ENTERED:
                lexer.enter_key[:] = 0
                lexer.counts[ENTERED] = 0
        full = int(machine.counts[MACHINE_FULL])
        if full >= 0:
            machine.counts[MACHINE_FULL] = -1
            names = _MACHINE_ROOM[full]
            machine = machine._replace(**{n: doubled(getattr(machine, n)) for n in names})
            if full == MACHINE_STATES:
                machine = machine._replace(buckets=np.zeros(2 * machine.buckets.size, np.int32))
                rehash_machine(machine)
        self._lexer, self._machine = lexer, machine
        self._handle = self._make_handle()


_LEXER_SCRATCH = ("follow", "set_start", "queue", "visited")
_LEXER_ROOM = {
    LEXER_STATES: ("table", "winner", "goes_on", "is_certain", "is_bound", *_LEXER_SCRATCH),
    LEXER_ITEMS: ("pool",),
    CONTEXTS: ("contexts", "context_of"),
    ENTERED: ("enter_key", "enter_value"),
    5: ("members",),
}
_MACHINE_ROOM = {
    MACHINE_STATES: ("table", "accepting", "set_start"),
    THREADS: ("pool",),
    2: ("members",),
}


def _lexer_room(tables: LexerTables) -> LexerArrays:
    n_classes = int(tables.class_of_byte.max()) + 1
    counts = np.zeros(5, np.int64)
    counts[LEXER_STATES] = 1  # state 0 is the dead one
    counts[CONTEXTS] = EVERY_TERMINAL + 1
    contexts = np.zeros((256, tables.first.size // 32 + 1), np.int64)
    for terminal in range(tables.first.size):
        contexts[EVERY_TERMINAL, terminal >> 5] |= 1 << (terminal & 31)
    counts[LEXER_FULL] = -1
    return LexerArrays(
        **vars(tables),
        table=np.empty((_STATES, n_classes), np.int32),
        winner=np.empty(_STATES, np.int32),
        goes_on=np.zeros(_STATES, np.int8),
        follow=np.zeros((_STATES, n_classes), np.int8),
        is_certain=np.zeros(_STATES, np.int8),
        is_bound=np.zeros(_STATES, np.int8),
        set_start=np.zeros(_STATES + 1, np.int64),
        pool=np.empty(16 * _STATES, np.int64),
        buckets=np.zeros(2 * _STATES, np.int32),
        counts=counts,
        contexts=contexts,
        context_of=np.zeros(4096, np.int32),
        enter_key=np.zeros(32768, np.int64),
        enter_value=np.zeros(32768, np.int32),
        members=np.empty(2 * tables.accepts.size + 256, np.int64),
        queue=np.empty(_STATES, np.int32),
        visited=np.zeros(_STATES + 1, np.int32),
    )


def _machine_room(n_classes: int) -> MachineArrays:
    return MachineArrays(
        table=np.empty((_STATES, n_classes), np.int32),
        accepting=np.zeros(_STATES, np.int8),
        set_start=np.zeros(_STATES + 1, np.int64),
        pool=np.empty(4 * _STATES, np.int64),
        buckets=np.zeros(2 * _STATES, np.int32),
        counts=np.array([1, 0, -1], np.int64),
        members=np.empty(256, np.int64),
    )

"""The deterministic automaton of a constraint, built on demand, and its room to grow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.closings import Closings
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.mask_memo import MaskMemo
from lmql_like.grammars.slices import GROUP_DEPTHS
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.compose import TOO_MANY
from lmql_like.kernels.entries import (
    enter_advance,
    enter_advance_token,
    enter_compose,
    enter_forced_run,
    enter_initial_state,
    enter_live_symbols,
    enter_mask,
    enter_mask_ending_in,
    enter_token_ends,
)
from lmql_like.kernels.handles import handle_of
from lmql_like.kernels.layouts import (
    FRAMES,
    FULL,
    ITEMS,
    LOCAL,
    MEMO,
    OVERFLOW,
    PAIRS,
    STATES,
    DfaArrays,
    NetworkArrays,
    NfaArrays,
)
from lmql_like.kernels.lookahead import look_ahead_classes
from lmql_like.kernels.pairs import enter_product_walk
from lmql_like.kernels.subset import rehash, rehash_frames

__all__ = ["LazyDfa", "NetworkTables", "check_limit"]

_PER_STATE = ("status", "distance", "accepting", "injecting", "stopped", "leaving", "companion")
_LARGE = 256  # nfa states; grammars that have them meet many states
_MOST_CLASSIFIED = 200_000  # nfa states; above, each is a class of its own


class LazyDfa:
    """A deterministic automaton over bytes whose states are positive ints.

    Only states from which an accepting one can be reached are ever returned. States are
    made when first met and stay; asking twice costs a table look-up. Several threads may
    use one automaton: kernels run under its lock.

    Args:
        nfa: the components, formula and rules.
        network: the calls of a grammar's rules; None for patterns.
        limits: `max_states` and `max_set_items`; over them, `GrammarError` G201.
    """

    def __init__(
        self, nfa: NfaArrays, limits: Limits, network: NetworkTables | None = None
    ) -> None:
        self._nfa = nfa
        self._network = network
        self._limits = limits
        self._lock = threading.RLock()
        self._n_classes = int(nfa.class_of_byte.max()) + 1
        has_calls = network is not None
        # Pages of large arrays cost nothing until they are written to, but to ask for them does.
        wide = 8 if has_calls and nfa.component.size >= _LARGE else 1
        self._room = _Room(
            states=min(2048 * wide, limits.max_states + 1),
            items=min(16384 * wide, 4 * limits.max_set_items + 64),
            frames=1024 * wide if has_calls else 1,
            pairs=4096 * wide if has_calls else 1,
            # Without calls, only as many items as nfa states can be met at once.
            scratch=(256 if has_calls else 0) + 2 * nfa.component.size + 16,
        )
        self._dfa = self._allocate(self._room)
        self._net = self._allocate_frames(self._room)
        self._dfa.counts[STATES] = 1  # state 0 is the dead one
        self._dfa.counts[FRAMES] = LOCAL + 1
        self._dfa.counts[FULL] = -1
        self.calls = 1 if has_calls else None
        self.handle = self._make_handle()
        counts = np.bincount(nfa.class_of_byte[nfa.class_of_byte >= 0], minlength=self._n_classes)
        self._only_byte = np.full(self._n_classes, -1, np.int32)
        for byte, symbol in enumerate(nfa.class_of_byte.tolist()):
            if symbol >= 0 and counts[symbol] == 1:
                self._only_byte[symbol] = byte
        self._closings = Closings(self)
        self._start = self._run(enter_initial_state)

    @property
    def start(self) -> int:
        """The start state; 0 where nothing can match."""
        return self._start

    @property
    def n_states(self) -> int:
        """How many states have been made so far."""
        return int(self._dfa.counts[STATES]) - 1

    @property
    def n_classes(self) -> int:
        """How many classes of bytes the constraint tells apart."""
        return self._n_classes

    @property
    def nfa(self) -> NfaArrays:
        """The components."""
        return self._nfa

    @property
    def network(self) -> NetworkTables | None:
        """The calls of a grammar's rules; None for patterns."""
        return self._network

    @property
    def capacity(self) -> int:
        """How many states there is room for; all are less."""
        return self._room.states

    @property
    def n_frames(self) -> int:
        """How many frames there is room for."""
        return self._room.frames + 1

    @property
    def first(self) -> int:
        """The start state; 0 where nothing can match."""
        return self._start

    def following(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""
        return self.targets(state)

    def step(self, state: int, byte: int) -> int:
        """Return the live state behind a byte, 0 where there is none."""
        return self._run(enter_advance, state, np.array([byte], np.uint8))

    def walk_beside(self, *args: Any) -> int:
        """Call the kernel of `kernels.pairs` that walks a trie until it finds room."""
        return self._run(enter_product_walk, *args)

    def accepting(self, state: int) -> int:
        """Return the regimes of the token count (bits) in which a state accepts."""
        return int(self._dfa.accepting[state])

    def distance(self, state: int) -> int:
        """Return a number of bytes that every text from a state to acceptance has at least."""
        return int(self._dfa.distance[state])

    def items(self, state: int) -> NDArray[np.int64]:
        """Return the sorted items of a state: nfa states, for patterns."""
        begin, end = self._dfa.set_start[state : state + 2]
        return self._dfa.pool[begin:end]

    def closing_distance(self, state: int) -> int:
        """Return the bytes of a completion, the same or less behind its first byte."""
        if self._network is not None and not self._network.beside.shape[0]:
            return self.distance(state)  # of a grammar by itself, the shortest is known
        return self._closings.distance(state)

    def successors(self, state: int) -> list[int]:
        """Return the distinct live states behind one more byte."""
        symbols = np.empty(self._n_classes, np.int32)
        found = self._run(enter_live_symbols, state, symbols)
        return list(dict.fromkeys(self._dfa.table[state, symbols[:found]].tolist()))

    def targets(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""
        symbols = np.empty(self._n_classes, np.int32)
        self._run(enter_live_symbols, state, symbols)
        row = np.append(np.maximum(self._dfa.table[state], 0), 0).astype(np.int32)
        return row[self._nfa.class_of_byte]  # class -1 reads the 0 at the end

    def is_stopped(self, state: int) -> bool:
        """Tell whether a stop phrase ended the text in this state."""
        return bool(self._dfa.stopped[state])

    def is_injecting(self, state: int) -> bool:
        """Tell whether a STOPS_BEFORE phrase may begin in this state."""
        return bool(self._dfa.injecting[state])

    def advance(self, state: int, data: bytes) -> int:
        """Return the state behind some bytes, 0 if no accepting state is reachable there."""
        return self._run(enter_advance, state, np.frombuffer(data, np.uint8))

    def advance_token(self, state: int, token_id: int, vocabulary: Vocabulary) -> int:
        """Return the state behind a token of a vocabulary, as `advance` behind its bytes."""
        return self._run(enter_advance_token, state, token_id, *vocabulary.flat)

    def live_bytes(self, state: int) -> NDArray[np.bool_]:
        """Return bool[256]: the bytes that may follow a state."""
        symbols = np.empty(self._n_classes, np.int32)
        found = self._run(enter_live_symbols, state, symbols)
        flags = np.zeros(self._n_classes + 1, np.bool_)
        flags[symbols[:found]] = True
        return flags[self._nfa.class_of_byte]  # class -1 reads the spare last flag

    def forced_bytes(self, state: int, limit: int = 4096) -> bytes:
        """Return the bytes that must follow a state, up to where it accepts or a choice begins."""
        out = np.empty(limit, np.uint8)
        written = self._run(enter_forced_run, state, self._only_byte, out)
        return out[:written].tobytes()

    def new_memo(self, vocabulary: Vocabulary, budget: int) -> MaskMemo:
        """Return an empty memo for the masks of this automaton over a vocabulary.

        Args:
            vocabulary: the tokens.
            budget: bytes of rows that it may hold.
        """
        classes = None
        has_companion = self._net is not None and bool(self._net.beside.size)
        is_union = self._nfa.trusted[0] and not has_companion
        if is_union and self._nfa.component.size <= _MOST_CLASSIFIED:
            classes = look_ahead_classes(self._nfa, self._net, np.array(GROUP_DEPTHS, np.int64))
        return MaskMemo(self._nfa.class_of_byte, classes, vocabulary, budget)

    def mask(self, state: int, memo: MaskMemo, row: NDArray[np.int32]) -> None:
        """Add the bits of the tokens that may follow a state to a packed row.

        Args:
            state: a live state.
            memo: from `new_memo`; never shared with another automaton.
            row: int32[words].
        """
        tokens = memo.vocabulary.sliced.handle
        memo.begin_mask()
        if memo.has_classes:
            if self._run(enter_compose, tokens, memo, state, row) != TOO_MANY:
                return
            row[:] = 0
        self._run(enter_mask, tokens, memo, state, row)

    def mask_ending_in(
        self, state: int, memo: MaskMemo, wanted: NDArray[np.uint8], row: NDArray[np.int32]
    ) -> None:
        """As `mask`, for tokens that end in a state s with wanted[s] != 0."""
        tokens = memo.vocabulary.sliced.handle
        self._run(enter_mask_ending_in, tokens, memo, state, wanted, row)

    def token_ends(self, state: int, memo: MaskMemo) -> NDArray[np.int32]:
        """Return the distinct states, ascending, in which the vocabulary's tokens end."""
        with self._lock:
            found = self._run(enter_token_ends, memo.vocabulary.sliced.handle, memo, state)
            return self._dfa.parent[:found].copy()

    def _run(self, kernel: Callable[..., int], *args: Any) -> int:
        """Call a kernel until it finds room; a memo among the arguments goes by its handle."""
        with self._lock:
            while True:
                given = [arg.handle if isinstance(arg, MaskMemo) else arg for arg in args]
                result = int(kernel(self.handle, self.calls, *given))
                if result != OVERFLOW:
                    return result
                if not self.is_full:
                    next(arg for arg in args if isinstance(arg, MaskMemo)).grow()
                else:
                    self.grow()

    @property
    def is_full(self) -> bool:
        """Whether an array of its own was full when a kernel last ran."""
        return int(self._dfa.counts[FULL]) not in (-1, MEMO)

    def _make_handle(self) -> NDArray[np.int64]:
        return handle_of((*self._nfa, *self._dfa, *(self._net or ())))

    def grow(self) -> None:
        """Make the array that was full four times as long: what is not used takes no memory."""
        old, limits = self._dfa, self._limits
        n_states, n_items, n_frames, n_pairs, _, full = (int(count) for count in old.counts)
        room = replace(self._room)
        if full == STATES:
            check_limit("automaton states", "max_states", limits.max_states, n_states)
            room.states = min(4 * room.states, limits.max_states + 1)
        elif full == ITEMS:
            check_limit("positions in its states", "max_set_items", limits.max_set_items, n_items)
            # One set may be as large as the scratch: the pool must take the next one.
            room.items = max(4 * room.items, n_items + 2 * room.scratch)
        elif full == FRAMES:
            check_limit("frames of rules", "max_frames", limits.max_frames, n_frames)
            room.frames = 4 * room.frames
        elif full == PAIRS:
            check_limit("callers of rules", "max_set_items", limits.max_set_items, n_pairs)
            room.pairs = max(4 * room.pairs, n_pairs + room.scratch)
        else:
            check_limit("positions at once", "max_set_items", limits.max_set_items, room.scratch)
            room.scratch = 2 * room.scratch
        new = self._allocate(room)
        new.table[:n_states] = old.table[:n_states]
        for name in _PER_STATE:
            getattr(new, name)[:n_states] = getattr(old, name)[:n_states]
        new.set_start[: n_states + 1] = old.set_start[: n_states + 1]
        new.pool[:n_items] = old.pool[:n_items]
        new.counts[:] = old.counts
        new.counts[FULL] = -1
        rehash(new)
        net = self._allocate_frames(room)
        if net is not None and self._net is not None:
            net.frame_start[: n_frames + 1] = self._net.frame_start[: n_frames + 1]
            net.pairs[:n_pairs] = self._net.pairs[:n_pairs]
            net.frame_live[:n_frames] = self._net.frame_live[:n_frames]
            net.frame_distance[:n_frames] = self._net.frame_distance[:n_frames]
            rehash_frames(new, net)
        self._dfa, self._net, self._room = new, net, room
        self.handle = self._make_handle()

    def _allocate_frames(self, room: _Room) -> NetworkArrays | None:
        if self._network is None:
            return None
        # Open addressing wants room: an item is looked for in few places only.
        seen = 1 << (4 * room.scratch).bit_length()
        n_rules = self._network.rule_first.size
        tables = vars(self._network)
        live = np.zeros((room.frames + 1, tables["reach"].shape[1]), np.int64)
        live[0] = pack_states(tables["beside_accepts"], live.shape[1])  # the bottom: a text's end
        return NetworkArrays(
            **tables,
            frame_live=live,
            frame_distance=np.zeros(room.frames + 1, np.int32),
            frame_start=np.zeros(room.frames + 1, np.int64),
            pairs=np.empty(room.pairs, np.int64),
            frame_buckets=np.zeros(1 << (2 * room.frames).bit_length(), np.int32),
            seen_item=np.zeros(seen, np.int64),
            seen_clock=np.zeros(seen, np.int32),
            call_head=np.zeros(n_rules, np.int32),
            call_clock=np.zeros(n_rules, np.int32),
            call_next=np.empty(room.scratch, np.int32),
            call_pair=np.empty(room.scratch, np.int64),
        )

    def _allocate(self, room: _Room) -> DfaArrays:
        n = self._nfa.component.size
        return DfaArrays(
            table=np.empty((room.states, self._n_classes), np.int32),
            status=np.zeros(room.states, np.int8),
            distance=np.zeros(room.states, np.int32),
            accepting=np.zeros(room.states, np.int64),
            injecting=np.zeros(room.states, np.int8),
            stopped=np.zeros(room.states, np.int8),
            leaving=np.zeros(room.states, np.int8),
            companion=np.zeros(room.states, np.int32),
            set_start=np.zeros(room.states + 1, np.int64),
            pool=np.empty(room.items, np.int64),
            buckets=np.zeros(1 << (2 * room.states).bit_length(), np.int32),
            counts=np.zeros(6, np.int64),
            stamp=np.zeros(n + 1, np.int32),
            members=np.empty(room.scratch, np.int64),
            stack=np.empty(room.scratch, np.int64),
            truth=np.zeros(2 * self._nfa.code.size + self._nfa.accept.size + 2, np.int64),
            queue=np.empty(room.states, np.int32),
            parent=np.empty(room.states, np.int32),
            visited=np.zeros(room.states + 1, np.int32),
        )


@dataclass(frozen=True)
class NetworkTables:
    """The calls of a grammar's rules; fields as in `kernels.layouts.NetworkArrays`."""

    call_start: NDArray[np.int32]
    call_rule: NDArray[np.int32]
    call_return: NDArray[np.int32]
    call_tail: NDArray[np.int8]
    rule_end: NDArray[np.int8]
    rule_first: NDArray[np.int32]
    beside: NDArray[np.int32]
    beside_accepts: NDArray[np.int8]
    reach: NDArray[np.int64]


def pack_states(flags: NDArray[np.int8], words: int) -> NDArray[np.int64]:
    """Return int64[words] with bit i set where flags[i] is."""
    bits = np.zeros(64 * words, np.uint8)
    bits[: flags.size] = flags != 0
    packed: NDArray[np.int64] = np.packbits(bits, bitorder="little").view(np.int64)
    return packed


@dataclass
class _Room:
    """How large the arrays are."""

    states: int
    items: int
    frames: int
    pairs: int
    scratch: int


def check_limit(what: str, name: str, limit: int, used: int) -> None:
    """Raise G201 if more is used than the limit of a name allows."""
    if used > limit:
        raise GrammarError(
            "G201",
            f"the constraint needs more than {limit} {what}",
            help=f"make counted repeats or length bounds smaller, or raise Limits.{name}",
        )

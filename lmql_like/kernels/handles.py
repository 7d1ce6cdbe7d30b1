"""Bundles by address: one small array in place of many at every kernel call.

Unpacking an array that comes from Python costs a quarter of a microsecond, and an
automaton has sixty of them. So a bundle crosses the border as a *handle*: int64[4 * n],
address and three lengths of each of its arrays, in order. `open_*` makes
array views of it inside a kernel; views that a kernel does not use cost nothing.

A handle does not keep its arrays alive: whoever makes one holds the bundle beside it, and
makes a new handle whenever an array was replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba as nb
import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from lmql_like.kernels.layouts import (
    DfaArrays,
    LexerArrays,
    MachineArrays,
    MemoArrays,
    NetworkArrays,
    NfaArrays,
    SliceArrays,
    TrieArrays,
)

__all__ = [
    "handle_of",
    "open_dfa",
    "open_lexer",
    "open_machine",
    "open_memo",
    "open_network",
    "open_nfa",
    "open_slices",
    "open_trie",
]

_DFA = len(NfaArrays._fields)  # where the bundles begin that share a handle
_NETWORK = _DFA + len(DfaArrays._fields)
_SLICES = len(TrieArrays._fields)
_MACHINE = len(LexerArrays._fields)


def handle_of(bundle: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the handle of a bundle; its arrays must be contiguous and outlive it."""
    handle = np.zeros((len(bundle), 4), np.int64)
    for row, array in zip(handle, bundle, strict=True):
        row[0] = array.ctypes.data
        row[1 : 1 + array.ndim] = array.shape
    return handle.ravel()


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:  # noqa: ARG001
    """Turn an address into a pointer."""
    signature = types.voidptr(types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    return signature, codegen


@njit(cache=True, nogil=True, inline="always")
def _i8(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1],), np.int8)


@njit(cache=True, nogil=True, inline="always")
def _u8(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1],), np.uint8)


@njit(cache=True, nogil=True, inline="always")
def _i32(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1],), np.int32)


@njit(cache=True, nogil=True, inline="always")
def _i64(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1],), np.int64)


@njit(cache=True, nogil=True, inline="always")
def _table(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2]), np.int32)


@njit(cache=True, nogil=True, inline="always")
def _table8(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2]), np.int8)


@njit(cache=True, nogil=True, inline="always")
def _table64(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2]), np.int64)


@njit(cache=True, nogil=True, inline="always")
def _cube8(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2], h[4 * i + 3]), np.int8)


@njit(cache=True, nogil=True, inline="always")
def _cube32(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2], h[4 * i + 3]), np.int32)


@njit(cache=True, nogil=True, inline="always")
def _cube64(h: np.ndarray, i: int) -> np.ndarray:
    return nb.carray(_pointer(h[4 * i]), (h[4 * i + 1], h[4 * i + 2], h[4 * i + 3]), np.int64)


@njit(cache=True, nogil=True)
def open_nfa(h: np.ndarray) -> NfaArrays:
    """Return the `NfaArrays` of an automaton's handle."""
    return NfaArrays(
        class_of_byte=_i32(h, 0),
        edge_start=_i32(h, 1),
        edge_low=_i32(h, 2),
        edge_high=_i32(h, 3),
        edge_to=_i32(h, 4),
        jump_start=_i32(h, 5),
        jump_to=_i32(h, 6),
        component=_i32(h, 7),
        distance=_i32(h, 8),
        required=_i8(h, 9),
        trusted=_i8(h, 10),
        spans=_table(h, 11),
        accept=_i32(h, 12),
        starts=_i32(h, 13),
        code=_i32(h, 14),
        code_start=_i32(h, 15),
        regimes=_i64(h, 16),
        all_regimes=_i64(h, 17),
        rule_kind=_i32(h, 18),
        rule_program=_i32(h, 19),
        rule_component=_i32(h, 20),
        rule_start=_i32(h, 21),
        rule_alive=_i32(h, 22),
    )


@njit(cache=True, nogil=True)
def open_dfa(h: np.ndarray) -> DfaArrays:
    """Return the `DfaArrays` of an automaton's handle."""
    return DfaArrays(
        table=_table(h, _DFA + 0),
        status=_i8(h, _DFA + 1),
        distance=_i32(h, _DFA + 2),
        accepting=_i64(h, _DFA + 3),
        injecting=_i8(h, _DFA + 4),
        stopped=_i8(h, _DFA + 5),
        leaving=_i8(h, _DFA + 6),
        companion=_i32(h, _DFA + 7),
        set_start=_i64(h, _DFA + 8),
        pool=_i64(h, _DFA + 9),
        buckets=_i32(h, _DFA + 10),
        counts=_i64(h, _DFA + 11),
        stamp=_i32(h, _DFA + 12),
        members=_i64(h, _DFA + 13),
        stack=_i64(h, _DFA + 14),
        truth=_i64(h, _DFA + 15),
        queue=_i32(h, _DFA + 16),
        parent=_i32(h, _DFA + 17),
        visited=_i32(h, _DFA + 18),
    )


@njit(cache=True, nogil=True)
def open_network(h: np.ndarray) -> NetworkArrays:
    """Return the `NetworkArrays` of an automaton's handle."""
    return NetworkArrays(
        call_start=_i32(h, _NETWORK + 0),
        call_rule=_i32(h, _NETWORK + 1),
        call_return=_i32(h, _NETWORK + 2),
        call_tail=_i8(h, _NETWORK + 3),
        rule_end=_i8(h, _NETWORK + 4),
        rule_first=_i32(h, _NETWORK + 5),
        frame_start=_i64(h, _NETWORK + 6),
        pairs=_i64(h, _NETWORK + 7),
        frame_buckets=_i32(h, _NETWORK + 8),
        seen_item=_i64(h, _NETWORK + 9),
        seen_clock=_i32(h, _NETWORK + 10),
        call_head=_i32(h, _NETWORK + 11),
        call_clock=_i32(h, _NETWORK + 12),
        call_next=_i32(h, _NETWORK + 13),
        call_pair=_i64(h, _NETWORK + 14),
        beside=_table(h, _NETWORK + 15),
        beside_accepts=_i8(h, _NETWORK + 16),
        reach=_table64(h, _NETWORK + 17),
        frame_live=_table64(h, _NETWORK + 18),
        frame_distance=_i32(h, _NETWORK + 19),
    )


@njit(cache=True, nogil=True)
def open_trie(h: np.ndarray) -> TrieArrays:
    """Return the `TrieArrays` of a vocabulary's handle."""
    return TrieArrays(
        byte=_u8(h, 0),
        depth=_i32(h, 1),
        end=_i32(h, 2),
        token_start=_i32(h, 3),
        token_ids=_i32(h, 4),
    )


@njit(cache=True, nogil=True)
def open_slices(h: np.ndarray) -> SliceArrays:
    """Return the `SliceArrays` of a vocabulary's handle."""
    return SliceArrays(
        reader=_cube8(h, _SLICES + 0),
        longest=_i32(h, _SLICES + 1),
        rows=_table(h, _SLICES + 2),
        first_node=_i32(h, _SLICES + 3),
    )


@njit(cache=True, nogil=True)
def open_memo(h: np.ndarray) -> MemoArrays:
    """Return the `MemoArrays` of a memo's handle."""
    return MemoArrays(
        buckets=_i32(h, 0),
        key_start=_i64(h, 1),
        keys=_i64(h, 2),
        token_start=_i64(h, 3),
        tokens=_i32(h, 4),
        part_row=_i32(h, 5),
        leave_start=_i64(h, 6),
        leaves=_i32(h, 7),
        rows=_table(h, 8),
        exit_buckets=_i32(h, 9),
        exit_start=_i64(h, 10),
        nodes=_i64(h, 11),
        counts=_i64(h, 12),
        probes=_table(h, 13),
        classes=_cube64(h, 14),
        key=_i64(h, 15),
        path=_i32(h, 16),
        work=_cube32(h, 17),
        agenda=_table64(h, 18),
        found=_i64(h, 19),
    )


@njit(cache=True, nogil=True)
def open_lexer(h: np.ndarray) -> LexerArrays:
    """Return the `LexerArrays` of a lexer's handle."""
    return LexerArrays(
        class_of_byte=_i32(h, 0),
        edge_start=_i32(h, 1),
        edge_low=_i32(h, 2),
        edge_high=_i32(h, 3),
        edge_to=_i32(h, 4),
        terminal=_i32(h, 5),
        accepts=_i8(h, 6),
        guard_start=_i32(h, 7),
        guards=_i32(h, 8),
        guard_accepts=_i8(h, 9),
        first=_i32(h, 10),
        ignored=_i8(h, 11),
        table=_table(h, 12),
        winner=_i32(h, 13),
        goes_on=_i8(h, 14),
        follow=_table8(h, 15),
        is_certain=_i8(h, 16),
        is_bound=_i8(h, 17),
        set_start=_i64(h, 18),
        pool=_i64(h, 19),
        buckets=_i32(h, 20),
        counts=_i64(h, 21),
        contexts=_table64(h, 22),
        context_of=_i32(h, 23),
        enter_key=_i64(h, 24),
        enter_value=_i32(h, 25),
        members=_i64(h, 26),
        queue=_i32(h, 27),
        visited=_i32(h, 28),
    )


@njit(cache=True, nogil=True)
def open_machine(h: np.ndarray) -> MachineArrays:
    """Return the `MachineArrays` of a lexer's handle."""
    return MachineArrays(
        table=_table(h, _MACHINE + 0),
        accepting=_i8(h, _MACHINE + 1),
        set_start=_i64(h, _MACHINE + 2),
        pool=_i64(h, _MACHINE + 3),
        buckets=_i32(h, _MACHINE + 4),
        counts=_i64(h, _MACHINE + 5),
        members=_i64(h, _MACHINE + 6),
    )

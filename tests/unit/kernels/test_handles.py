"""Every field of a bundle comes out of its handle as it went in."""

from typing import get_args, get_type_hints

import numpy as np
import pytest

from lmql_like.kernels import handles, layouts

SHARED = {  # bundles that share a handle, in order
    "automaton": ("NfaArrays", "DfaArrays", "NetworkArrays"),
    "vocabulary": ("TrieArrays", "SliceArrays"),
    "memo": ("MemoArrays",),
    "lexer": ("LexerArrays", "MachineArrays"),
}
OPEN = {
    "NfaArrays": handles.open_nfa,
    "DfaArrays": handles.open_dfa,
    "NetworkArrays": handles.open_network,
    "TrieArrays": handles.open_trie,
    "SliceArrays": handles.open_slices,
    "MemoArrays": handles.open_memo,
    "LexerArrays": handles.open_lexer,
    "MachineArrays": handles.open_machine,
}
TABLES = {
    "table",
    "rows",
    "probes",
    "agenda",
    "contexts",
    "beside",
    "reach",
    "frame_live",
    "follow",
    "spans",
}
CUBES = {"reader": (2, 3, 256), "classes": (3, 2, 5), "work": (2, 7, 2)}


def arrays_of(bundle, first):
    """One array for each field, no two of the same content."""
    made = []
    for number, (name, hint) in enumerate(get_type_hints(getattr(layouts, bundle)).items()):
        dtype = get_args(get_args(hint)[1])[0]
        shape = CUBES.get(name, (3, 4) if name in TABLES else (5,))
        made.append(np.full(shape, first + number, dtype))
    return made


@pytest.mark.parametrize("kind", SHARED)
def test_fields_come_out_as_they_went_in(kind):
    parts = {name: arrays_of(name, 40 * i) for i, name in enumerate(SHARED[kind])}
    handle = handles.handle_of([array for arrays in parts.values() for array in arrays])
    for name, arrays in parts.items():
        fields = getattr(layouts, name)._fields
        for field, given, seen in zip(fields, arrays, OPEN[name](handle), strict=True):
            assert seen.dtype == given.dtype, field
            assert np.array_equal(seen, given), field

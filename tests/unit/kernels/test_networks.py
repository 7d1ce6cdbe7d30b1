"""Rules that begin with a byte or a call: the kernel does what its plain twin does."""

from __future__ import annotations

import naive_networks
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.kernels.networks import begin_rules

N, RULES = 8, 4
STATES, BYTES = st.integers(0, N - 1), st.integers(0, 255)


def rows(*columns):
    return st.lists(st.tuples(*columns), max_size=12)


def columns(found, width):
    return np.array(found, np.int32).reshape(-1, width).T.copy()


@given(
    rows(STATES, BYTES, BYTES, STATES),
    rows(STATES, STATES),
    rows(STATES, st.integers(0, RULES - 1), STATES),
    st.lists(STATES, min_size=RULES, max_size=RULES),
)
def test_rules_begin_as_their_plain_twin_lets_them(edges, jumps, calls, begin):
    given_arrays = columns(edges, 4), columns(jumps, 2), columns(calls, 3)
    found_edges, found_calls, order = begin_rules(*given_arrays, np.array(begin, np.int32), N)
    wanted_edges, wanted_calls, begun = naive_networks.begin_rules(edges, jumps, calls, begin, N)
    assert set(map(tuple, found_edges.tolist())) == wanted_edges
    assert set(map(tuple, found_calls.tolist())) == wanted_calls
    assert (order.size == 0) == naive_networks.has_cycle(RULES, begun)
    place = {rule: at for at, rule in enumerate(order.tolist())}
    assert all(place[a] < place[b] for a, b in begun if place)

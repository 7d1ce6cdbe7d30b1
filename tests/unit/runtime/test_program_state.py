from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.runtime.program_state import Copier, begin_iteration

ATOMS = st.none() | st.integers() | st.text(max_size=2) | st.booleans()
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(ATOMS, max_size=3)
        | st.lists(inner, max_size=2).map(deque)
    ),
    max_leaves=8,
)


def containers(value):
    """Every mutable container inside a value."""
    if isinstance(value, (list, tuple, deque)):
        yield from itertools.chain.from_iterable(containers(item) for item in value)
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(containers(item) for item in value.values())
    if isinstance(value, (list, dict, set, deque)):
        yield value


@given(VALUES)
def test_a_copy_is_equal_and_shares_no_container(value):
    copied = Copier().copy(value)
    assert copied == value
    assert repr(copied) == repr(value)
    assert not {id(x) for x in containers(value)} & {id(x) for x in containers(copied)}


@given(VALUES)
def test_one_object_stays_one_object(value):
    first, second = Copier().copy([value, value])
    assert first is second


def test_a_container_may_contain_itself():
    loop = [1]
    loop.append((loop, {"self": loop}))
    copied = Copier().copy(loop)
    assert copied is not loop
    assert copied[1][0] is copied
    assert copied[1][1]["self"] is copied


@pytest.mark.parametrize(
    "value", [Counter("aab"), OrderedDict(a=[1]), defaultdict(list, a=[1]), bytearray(b"ab")]
)
def test_other_containers_are_copied_by_their_own_rules(value):
    copied = Copier().copy(value)
    assert copied == value
    assert copied is not value
    assert type(copied) is type(value)


class Node:
    def __init__(self, parent=None):
        self.parent = parent
        self.children = []
        if parent:
            parent.children.append(self)


def test_instances_are_copied_with_what_they_reach():
    root = Node()
    leaf = Node(root)
    copied_leaf, copied_root = Copier().copy([leaf, root])
    assert copied_leaf is not leaf
    assert copied_leaf.parent is copied_root
    assert copied_root.children == [copied_leaf]


def test_shared_objects_are_not_copied_wherever_they_stand():
    shared = Node()
    copied = Copier([shared]).copy({"a": [shared], "b": Node(shared)})
    assert copied["a"][0] is shared
    assert copied["b"].parent is shared


class Stubborn:
    def __init__(self):
        self.items = []

    def __deepcopy__(self, memo):
        raise TypeError("not me")


def test_what_cannot_be_copied_is_shared_with_what_it_holds():
    stubborn = Stubborn()
    copied = Copier().copy([stubborn, stubborn, 3])
    assert copied[0] is copied[1] is stubborn


@pytest.mark.parametrize("value", [len, Node, itertools, ValueError("x"), lambda: 1, 1j, range(3)])
def test_functions_classes_modules_and_exceptions_are_shared(value):
    assert Copier().copy(value) is value


def rest(position):
    items = []
    while True:
        found, item = position.take()
        if not found:
            return items
        items.append(item)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2, 3],
        lambda: (1, 2, 3),
        lambda: "abc",
        lambda: range(3),
        lambda: {"a": 1, "b": 2, "c": 3},
        {"a": 1, "b": 2}.items,
        lambda: enumerate("abc"),
        lambda: zip("abc", range(9), strict=False),
        lambda: map(str, [1, 2, 3]),
        lambda: reversed([1, 2, 3]),
        lambda: (i for i in range(3)),
        lambda: zip("abc", (i for i in range(3)), strict=False),
        lambda: iter([1, 2, 3]),
        lambda: itertools.islice(itertools.count(), 3),
    ],
)
def test_forks_of_a_position_go_on_by_themselves(make):
    expected = list(make())
    position = begin_iteration(make())
    assert position.take() == (True, expected[0])
    forks = [position.forked(Copier()) for _ in range(2)]
    assert rest(forks[0]) == expected[1:]
    assert rest(position) == expected[1:]
    assert rest(forks[1]) == expected[1:]


def test_an_exhausted_iteration_stays_exhausted():
    items = [1]
    position = begin_iteration(items)
    assert rest(position) == [1]
    items.append(2)
    assert rest(position) == []


def test_items_of_a_shared_generator_are_not_shared():
    position = begin_iteration([i] for i in range(2))
    fork = position.forked(Copier())
    position.take()[1].append("changed")
    assert fork.take()[1] == [0]


def test_what_cannot_be_iterated_over_is_an_error():
    with pytest.raises(TypeError):
        begin_iteration(3)

"""A plain membership test on rules, and the shared cases where they are at hand."""

import json
import os
from pathlib import Path

import pytest

from lmql_like.grammars.regex.nodes import Alternation, CharSet, Choice, Concat, Reference


class Membership:
    """Ends of every rule at every position, grown until nothing changes: any recursion."""

    def __init__(self, rules, text):
        self.rules, self.text = rules, text
        self.table, self.readers, self.waiting = {}, {}, []
        self.key = None
        self.look_up((rules.start, 0))
        while self.waiting:
            self.key = self.waiting.pop()
            name, at = self.key
            found = self.ends(rules.rules[name], at)
            if found != self.table[name, at]:
                self.table[name, at] = found
                self.waiting += self.readers[name, at]

    def look_up(self, key):
        if key not in self.table:
            self.table[key], self.readers[key] = frozenset(), set()
            self.waiting.append(key)
        self.readers[key].add(self.key)
        self.readers[key].discard(None)
        return self.table[key]

    def ends(self, node, at):
        if isinstance(node, CharSet):
            code = ord(self.text[at]) if at < len(self.text) else -1
            return frozenset(at + 1 for low, high in node.ranges if low <= code <= high)
        if isinstance(node, Choice):
            return frozenset(at + len(t) for t in node.texts if self.text.startswith(t, at))
        if isinstance(node, Alternation):
            return frozenset().union(*(self.ends(option, at) for option in node.options))
        if isinstance(node, Reference):
            return self.look_up((node.name, at))
        if isinstance(node, Concat):
            found = frozenset([at])
            for part in node.parts:
                found = frozenset().union(*(self.ends(part, here) for here in found))
            return found
        return self.repeated(node, at)

    def repeated(self, node, at):
        found = frozenset([at])
        for _ in range(node.low):
            found = frozenset().union(*(self.ends(node.item, here) for here in found))
        times = node.low
        while times != node.high:
            grown = found.union(*(self.ends(node.item, here) for here in found))
            if grown == found:
                break
            found, times = grown, times + 1
        return found


def is_member(rules, text):
    return len(text) in Membership(rules, text).table[rules.start, 0]


@pytest.fixture(scope="session")
def accepts():
    return is_member


def shared_grammars():
    """Return the grammars of the shared cases, none where the cases are not at hand."""
    folder = Path(__file__).parents[5] / "shared" / "bench" / "cases"
    folder = Path(os.environ.get("LMQL_LIKE_BENCH", folder))
    if not (folder / "grammars.jsonl").exists():
        return []
    lines = (folder / "grammars.jsonl").read_text(encoding="utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["kind"] == "lark"]


def pytest_generate_tests(metafunc):
    if "shared_grammar" in metafunc.fixturenames:
        cases = shared_grammars()
        metafunc.parametrize("shared_grammar", cases, ids=[case["name"] for case in cases])

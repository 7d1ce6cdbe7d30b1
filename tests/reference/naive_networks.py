"""The plain twin of `kernels.networks`: rules rewritten one by one, on Python lists."""

from __future__ import annotations


def begin_rules(edges, jumps, calls, begin, n):
    """As the kernel, on lists of rows; returns edges, calls, and which rules begin with which."""
    more_edges, more_calls, begun = [], [], []
    for rule, start in enumerate(begin):
        closure, stack = {start}, [start]
        while stack:
            state = stack.pop()
            fresh = {b for a, b in jumps if a == state} - closure
            closure |= fresh
            stack += fresh
        more_edges += [(n + rule, *row[1:]) for row in edges if row[0] in closure]
        more_calls += [(n + rule, *row[1:]) for row in calls if row[0] in closure]
        begun += [(rule, row[1]) for row in calls if row[0] in closure]
    return {*edges, *more_edges}, {*calls, *more_calls}, set(begun)


def has_cycle(rules, begun):
    """Tell whether some rule begins, by whatever way, with itself."""
    left = set(range(rules))
    while True:
        free = {rule for rule in left if not any(b == rule and a in left for a, b in begun)}
        if not free:
            return bool(left)
        left -= free

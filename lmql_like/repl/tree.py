"""The hypotheses of a run as a tree on the terminal."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from lmql_like.runtime.results import Result
from lmql_like.runtime.trace_tree import Branch, grow_tree

__all__ = ["show_tree"]

_MOST_BRANCHES = 200
_LONGEST_LABEL = 100


def show_tree(results: Sequence[Result], title: str) -> Tree:
    """Return the tree of a traced run to be printed; the first result's branches are marked.

    Raises:
        ValueError: the run was not traced.
    """
    kept = results[0].trace
    if kept is None:
        raise ValueError("the run was not traced")
    on_path = set(kept.answers)
    totals = {r.trace.answers[-1]: r.logprob for r in results if r.trace and r.trace.answers}
    tree = Tree(Text(title, style="bold"))
    left = _MOST_BRANCHES
    todo = deque((tree, branch) for branch in grow_tree(kept.run))
    while todo and left:
        parent, branch = todo.popleft()
        node = parent.add(_label(branch, totals.get(branch.last), is_kept=branch.last in on_path))
        todo += [(node, inner) for inner in branch.branches]
        left -= 1
    if todo:
        tree.add(Text(f"... and {len(todo)} more branches", style="dim"))
    return tree


def _label(branch: Branch, total: float | None, *, is_kept: bool) -> Text:
    text = repr(branch.text)
    if len(text) > _LONGEST_LABEL:
        text = f"{text[: _LONGEST_LABEL // 2]} ... {text[-_LONGEST_LABEL // 2 :]}"
    label = Text(text, style="bold cyan" if is_kept else "")
    label.append(f"  p {math.exp(branch.logprob):.3g}", style="yellow")
    if branch.status:
        total = branch.last.total if total is None else total
        label.append(f"  {branch.status}, log p {total:.3f}", style="dim")
        if is_kept:
            label.append("  <- kept", style="green")
    return label

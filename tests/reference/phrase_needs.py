"""Phrases that must occur, by looking at whole texts: no automaton, no table, plain searches."""

from __future__ import annotations


def is_whole(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def can_go_on(data):
    """Whether some bytes behind these make valid text."""
    tails = [b"", b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"\x80\x80\x80", b"\xbf\x80\x80"]
    return any(is_whole(data + tail) for tail in [*tails, b"\x8f\xbf\xbf", b"\x90\x80\x80"])


def covers(text, goals, forbidden):
    """Whether a text has a phrase of each goal, and no forbidden one."""
    return all(any(phrase in text for phrase in goal) for goal in goals) and not any(
        phrase in text for phrase in forbidden
    )


def remembered(text, goals, forbidden):
    """What of a text decides what may follow: goals covered, and its last few bytes."""
    covered = frozenset(i for i, goal in enumerate(goals) if any(p in text for p in goal))
    longest = max(len(p) for phrases in [*goals, forbidden, [b"1234"]] for p in phrases)
    return covered, text[-longest:]


def fewest_tokens(text, goals, forbidden, tokens, most):
    """Return the fewest tokens that make an accepted text of this one; None if more than most."""
    layer = {remembered(text, goals, forbidden): text}
    seen = set()
    for count in range(most + 1):
        if any(is_whole(t) and covers(t, goals, forbidden) for t in layer.values()):
            return count
        seen |= set(layer)
        following = {}
        for begun in layer.values():
            for token in tokens:
                longer = begun + token
                if not can_go_on(longer) or any(phrase in longer for phrase in forbidden):
                    continue
                key = remembered(longer, goals, forbidden)
                if key not in seen:
                    following[key] = longer
        layer = following
    return None


def behind_tokens(trie_tokens, moves, reached, node, beside, found):
    """As `kernels.phrases.behind_tokens`, token by token."""
    rows = []
    for token_id, token in enumerate(trie_tokens):
        if not token or (beside >= 0 and moves[beside, token[0]] == moves[node, token[0]]):
            continue
        at, goals = node, 0
        for byte in token:
            at = moves[at, byte] if at >= 0 else -1
            goals |= int(reached[at]) if at >= 0 else 0
        if at >= 0:
            rows.append((token_id, goals, int(at)))
    for i, row in enumerate(sorted(rows)):
        found[i] = row
    return len(rows)


def longest_ways(n, sources, targets, weights, unbounded):
    """As `kernels.reach.longest_ways`, by following links until nothing is new."""
    links = list(zip(sources, targets, weights, strict=True))
    longest = [0] * n
    for _ in range(n):
        for source, target, weight in links:
            longest[source] = max(longest[source], longest[target] + weight)
    circling = {s for s in range(n) if _meets_circle(s, links)}
    return [unbounded if s in circling else longest[s] for s in range(n)]


def _meets_circle(state, links):
    layer = {state}
    for _ in range(len(links) + 1):
        layer = {target for source, target, _ in links if source in layer}
    return bool(layer)

"""What a lexed grammar can still come to beside a table: never too little.

Read without maximal munch, a grammar has more texts than with it. Whether one of these can
be completed so that the table accepts is decided as in `kernels.companion`, by terminals
in place of bytes: for each state of a terminal and of the table, the table's states in
which the lexeme can end (`lexeme_ends`); for each place of the rules, those in which its
rule can (`reach_by_lexemes`). What has no completion there has none. And the fewest bytes
of a completion there are no more than what a real one takes: an estimate for searches.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.handles import (
    open_dfa,
    open_lexer,
    open_machine,
    open_network,
    open_nfa,
)
from lmql_like.kernels.layouts import (
    FRAMES,
    OVERFLOW,
    DfaArrays,
    GuideArrays,
    LexerArrays,
    MachineArrays,
    NetworkArrays,
    NfaArrays,
)
from lmql_like.kernels.pairs import HOPELESS, IMPOSSIBLE, OPEN, VIABLE
from lmql_like.kernels.threads import behind_lexeme

__all__ = [
    "FAR",
    "NO_ROOM",
    "behind_ignored",
    "enter_called_guide",
    "enter_guide",
    "lexeme_boundaries",
    "lexeme_ends",
    "reach_by_lexemes",
    "rule_costs",
]

FAR = 0x3FFFFFFF  # no way at all
NO_ROOM = -2  # the guide's arrays of frames or parser states are too short


@njit(cache=True, nogil=True)
def lexeme_boundaries(
    edge_start: np.ndarray,
    edges: np.ndarray,
    accepts: np.ndarray,
    first: np.ndarray,
    moves: np.ndarray,
    place: np.ndarray,
    boundary: np.ndarray,
) -> int:
    """Number the pairs of a terminal's and the table's states that texts lead to.

    Args:
        edge_start: int32[n + 1] edges of each state of the terminals.
        edges: int32[..., 3] first class, last class, target.
        accepts: int8[n] 1: a lexeme may end.
        first: int32[terminals] start states.
        moves: int32[states, classes] the table.
        place: int32[n, states] out: the pairs' numbers, -1: none; in order of discovery.
        boundary: int32[states] out: the numbers of states in which lexemes can end, -1.

    Returns:
        How many pairs there are.
    """
    place[:] = -1
    boundary[:] = -1
    queue = np.empty((place.size, 2), np.int32)
    waiting = np.empty(boundary.size, np.int32)
    boundary[1] = 0
    waiting[0] = 1
    n_boundaries, done, used, head = 1, 0, 0, 0
    while done < n_boundaries:
        other = waiting[done]
        done += 1
        for start in first:
            if place[start, other] < 0:
                place[start, other] = used
                queue[used, 0], queue[used, 1] = start, other
                used += 1
        while head < used:
            source, beside = queue[head, 0], queue[head, 1]
            head += 1
            for edge in range(edge_start[source], edge_start[source + 1]):
                target, before = edges[edge, 2], 0
                for symbol in range(edges[edge, 0], edges[edge, 1] + 1):
                    then = moves[beside, symbol]
                    if then in (before, 0):
                        continue
                    before = then
                    if place[target, then] < 0:
                        place[target, then] = used
                        queue[used, 0], queue[used, 1] = target, then
                        used += 1
                        if accepts[target] and boundary[then] < 0:
                            boundary[then] = n_boundaries
                            waiting[n_boundaries] = then
                            n_boundaries += 1
    return used


@njit(cache=True, nogil=True)
def _add_all(target: np.ndarray, source: np.ndarray) -> bool:
    """Add bits; tell whether there were new ones."""
    changed = False
    for word in range(target.size):
        value = target[word] | source[word]
        changed |= value != target[word]
        target[word] = value
    return changed


@njit(cache=True, nogil=True)
def lexeme_ends(
    edge_start: np.ndarray,
    edges: np.ndarray,
    accepts: np.ndarray,
    moves: np.ndarray,
    place: np.ndarray,
    boundary: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Find in which boundaries lexemes can end, from each pair of `lexeme_boundaries`.

    Args:
        edge_start: as of `lexeme_boundaries`, and so are the others up to `boundary`.
        edges: see there.
        accepts: see there.
        moves: see there.
        place: see there.
        boundary: see there.
        ends: int64[pairs, words] in: zeros; out: packed sets of boundaries.
    """
    members = np.empty((ends.shape[0], 2), np.int32)
    for source in range(place.shape[0]):
        for beside in range(place.shape[1]):
            number = place[source, beside]
            if number >= 0:
                members[number, 0], members[number, 1] = source, beside
                if accepts[source] and boundary[beside] >= 0:
                    bit = boundary[beside]
                    ends[number, bit >> 6] |= np.int64(1) << (bit & 63)
    changed = True
    while changed:
        changed = False
        for number in range(ends.shape[0] - 1, -1, -1):
            source, beside = members[number, 0], members[number, 1]
            for edge in range(edge_start[source], edge_start[source + 1]):
                target, before = edges[edge, 2], 0
                for symbol in range(edges[edge, 0], edges[edge, 1] + 1):
                    then = moves[beside, symbol]
                    if then not in (before, 0):
                        before = then
                        changed |= _add_all(ends[number], ends[place[target, then]])


@njit(cache=True, nogil=True)
def _compose(bits: np.ndarray, relation: np.ndarray, out: np.ndarray) -> bool:
    """Add to `out` what a relation leads to from a set; tell whether that was new."""
    changed = False
    for number in range(relation.shape[0]):
        if bits[number >> 6] >> (number & 63) & 1:
            changed |= _add_all(out, relation[number])
    return changed


@njit(cache=True, nogil=True)
def behind_ignored(steps: np.ndarray, star: np.ndarray) -> None:
    """Close a relation: int64[boundaries, words] steps in; out, `star` has any number of them."""
    for number in range(star.shape[0]):
        star[number] = 0
        star[number, number >> 6] |= np.int64(1) << (number & 63)
    before = np.empty(star.shape[1], np.int64)
    changed = True
    while changed:
        changed = False
        for number in range(star.shape[0]):
            before[:] = star[number]
            changed |= _compose(before, steps, star[number])


@njit(cache=True, nogil=True)
def reach_by_lexemes(
    edges: np.ndarray,
    jumps: np.ndarray,
    calls: np.ndarray,
    rule_first: np.ndarray,
    ends: np.ndarray,
    lexemes: np.ndarray,
    reach: np.ndarray,
) -> None:
    """Find in which boundaries rules can end, from each place and boundary.

    Args:
        edges: int32[..., 4] source, first terminal, last terminal, target.
        jumps: int32[..., 2] source, target.
        calls: int32[..., 3] source, rule, return state.
        rule_first: int32[rules] start states.
        ends: int8[n] 1: a rule, or the whole text, ends here.
        lexemes: int64[terminals, boundaries, words] where the lexemes lead to.
        reach: int64[n * boundaries, words] in: zeros; out: packed sets.

    What depends on a place is done again only where the place has changed since.
    """
    size = lexemes.shape[1]
    n = ends.size
    for node in range(n):
        if ends[node]:
            for number in range(size):
                reach[node * size + number, number >> 6] |= np.int64(1) << (number & 63)
    changed_at = np.ones(n, np.int64)
    done = np.zeros(edges.shape[0] + jumps.shape[0] + calls.shape[0], np.int64)
    clock = np.int64(1)
    more = True
    while more:
        more = False
        for i in range(done.size - 1, -1, -1):
            kind, k = 0, i
            if i >= edges.shape[0] + jumps.shape[0]:
                kind, k = 2, i - edges.shape[0] - jumps.shape[0]
            elif i >= edges.shape[0]:
                kind, k = 1, i - edges.shape[0]
            first = np.int64(-1)
            if kind == 0:
                source, target = np.int64(edges[k, 0]), np.int64(edges[k, 3])
            elif kind == 1:
                source, target = np.int64(jumps[k, 0]), np.int64(jumps[k, 1])
            else:
                source, target = np.int64(calls[k, 0]), np.int64(calls[k, 2])
                first = np.int64(rule_first[calls[k, 1]])
            newest = changed_at[target]
            if first >= 0:
                newest = max(newest, changed_at[first])
            if newest <= done[i]:
                continue
            done[i] = clock
            behind = reach[target * size : target * size + size]
            changed = False
            for number in range(size):
                out = reach[source * size + number]
                if kind == 0:
                    for terminal in range(edges[k, 1], edges[k, 2] + 1):
                        changed |= _compose(lexemes[terminal, number], behind, out)
                elif kind == 1:
                    changed |= _add_all(out, behind[number])
                else:
                    changed |= _compose(reach[first * size + number], behind, out)
            if changed:
                clock += 1
                changed_at[source] = clock
                more = True


@njit(cache=True, nogil=True)
def rule_costs(
    edges: np.ndarray,
    jumps: np.ndarray,
    calls: np.ndarray,
    rule_first: np.ndarray,
    ends: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Return int32[n]: the least weight of terminals from a place to its rule's end, or FAR.

    Args as of `reach_by_lexemes`; `weight`, int32[terminals], has the shortest lexemes.
    """
    cost = np.full(ends.size, FAR, np.int32)
    for node in range(ends.size):
        if ends[node]:
            cost[node] = 0
    changed = True
    while changed:
        changed = False
        for i in range(calls.shape[0] - 1, -1, -1):
            way = min(FAR, cost[rule_first[calls[i, 1]]] + cost[calls[i, 2]])
            if way < cost[calls[i, 0]]:
                cost[calls[i, 0]] = way
                changed = True
        for i in range(edges.shape[0] - 1, -1, -1):
            for terminal in range(edges[i, 1], edges[i, 2] + 1):
                way = min(FAR, cost[edges[i, 3]] + weight[terminal])
                if way < cost[edges[i, 0]]:
                    cost[edges[i, 0]] = way
                    changed = True
        for i in range(jumps.shape[0] - 1, -1, -1):
            if cost[jumps[i, 1]] < cost[jumps[i, 0]]:
                cost[jumps[i, 0]] = cost[jumps[i, 1]]
                changed = True
    return cost


@njit(cache=True, nogil=True)
def _add_live(guide: GuideArrays, node: int, frame: int, live: np.ndarray) -> None:
    """Add the boundaries from which a place's rule can end where a frame is live."""
    if guide.ends.shape[0] == 0:
        return
    size = guide.star.shape[0]
    for number in range(size):
        if live[number >> 6] >> (number & 63) & 1:
            continue
        reached = guide.reach[node * size + number]
        for word in range(reached.size):
            if reached[word] & guide.frame_live[frame, word]:
                live[number >> 6] |= np.int64(1) << (number & 63)
                break


@njit(cache=True, nogil=True)
def _know_frames(dfa: DfaArrays, net: NetworkArrays, guide: GuideArrays) -> bool:
    """Look after the parser's new frames; False where there is no room."""
    frames = dfa.counts[FRAMES]
    if frames > guide.frame_cost.size:
        return False
    for frame in range(guide.counts[0], frames):
        live = guide.frame_live[frame]
        live[:] = 0
        least = np.int32(FAR)
        for i in range(net.frame_start[frame], net.frame_start[frame + 1]):
            below, back = net.pairs[i] >> 32, net.pairs[i] & 0xFFFFFFFF
            least = min(least, guide.cost[back] + guide.frame_cost[below])
            _add_live(guide, back, below, live)
        guide.frame_cost[frame] = least
    guide.counts[0] = frames
    return True


@njit(cache=True, nogil=True)
def _know_parser_state(
    dfa: DfaArrays, net: NetworkArrays | None, guide: GuideArrays, parsed: int
) -> bool:
    """Find what can be completed behind a parser state; False where there is no room."""
    if parsed >= guide.parser_cost.size:
        return False
    if guide.parser_cost[parsed] >= 0:
        return True
    if net is not None and not _know_frames(dfa, net, guide):
        return False
    live = np.zeros(guide.frame_live.shape[1], np.int64)
    least = np.int32(FAR)
    for i in range(dfa.set_start[parsed], dfa.set_start[parsed + 1]):
        node, frame = dfa.pool[i] & 0xFFFFFFFF, dfa.pool[i] >> 32
        least = min(least, guide.cost[node] + guide.frame_cost[frame])
        _add_live(guide, node, frame, live)
    guide.parser_live[parsed] = 0
    for number in range(guide.star.shape[0]):
        for word in range(live.size):
            if guide.star[number, word] & live[word]:
                guide.parser_live[parsed, number >> 6] |= np.int64(1) << (number & 63)
                break
    guide.parser_cost[parsed] = least
    return True


@njit(cache=True, nogil=True)
def _add_thread(
    guide: GuideArrays, item: int, parsed: int, possible: np.ndarray, met: np.ndarray
) -> None:
    """Note with which states of the table a lexeme can be read to its end, and the text."""
    live = guide.parser_live[parsed]
    for other in range(possible.size):
        number = guide.place[item, other]
        if number < 0:
            met[other] = 0
        elif not possible[other]:
            for word in range(live.size):
                if guide.ends[number, word] & live[word]:
                    possible[other] = 1
                    break


@njit(cache=True, nogil=True)
def _guide(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    machine: MachineArrays,
    guide: GuideArrays,
    state: int,
    verdicts: np.ndarray,
) -> int:
    """See `enter_guide`."""
    n = verdicts.size
    possible = np.zeros(n, np.uint8)
    met = np.ones(n, np.uint8)
    knows = guide.ends.shape[0] > 0
    least = FAR
    for i in range(machine.set_start[state], machine.set_start[state + 1]):
        parsed, read = machine.pool[i] >> 32, machine.pool[i] & 0xFFFFFFFF
        for k in range(lexer.set_start[read], lexer.set_start[read + 1]):
            if lexer.pool[k] >> 32:
                break
            item = lexer.pool[k]
            if lexer.edge_start[item] == lexer.edge_start[item + 1]:
                continue  # what has ended here is looked after by the next thread
            terminal = np.int64(lexer.terminal[item])
            behind = behind_lexeme(nfa, dfa, net, lexer, parsed, terminal)
            if behind == OVERFLOW:
                return OVERFLOW
            if behind == 0:
                continue
            if not _know_parser_state(dfa, net, guide, behind):
                return NO_ROOM
            least = min(least, guide.rest[item] + guide.parser_cost[behind])
            if knows:
                _add_thread(guide, item, behind, possible, met)
    for other in range(n):
        if machine.accepting[state] and guide.accepts[other]:
            verdicts[other] = VIABLE
        elif other == 0 or (knows and not met[other]):
            verdicts[other] = IMPOSSIBLE
        elif possible[other] or not knows:
            verdicts[other] = OPEN
        else:
            verdicts[other] = HOPELESS
    return 0 if machine.accepting[state] else min(least, FAR)


@njit(cache=True, nogil=True)
def enter_guide(
    h: np.ndarray,
    calls: int | None,  # noqa: ARG001
    lexed: np.ndarray,
    guide: GuideArrays,
    state: int,
    verdicts: np.ndarray,
) -> int:
    """Write what can surely not, and what surely can, be completed in a state.

    Args:
        h: handle of the parser, whose rules call none.
        calls: None.
        lexed: handle of lexer and machine.
        guide: in and out: frames and parser states are looked after once.
        state: of the machine.
        verdicts: int8[table's states] out, see `kernels.pairs`.

    Returns:
        No more than the fewest bytes to the text's end, FAR where there is none; OVERFLOW or
        NO_ROOM.
    """
    lexer, machine = open_lexer(lexed), open_machine(lexed)
    return _guide(open_nfa(h), open_dfa(h), None, lexer, machine, guide, state, verdicts)


@njit(cache=True, nogil=True)
def enter_called_guide(
    h: np.ndarray,
    calls: int | None,  # noqa: ARG001
    lexed: np.ndarray,
    guide: GuideArrays,
    state: int,
    verdicts: np.ndarray,
) -> int:
    """As `enter_guide`, where rules call each other."""
    nfa, dfa, net = open_nfa(h), open_dfa(h), open_network(h)
    lexer, machine = open_lexer(lexed), open_machine(lexed)
    return _guide(nfa, dfa, net, lexer, machine, guide, state, verdicts)

"""The array bundles that kernels take: named tuples of flat numpy arrays.

A bundle is only a name for arrays that travel together. Numba unpacks it at the call;
inside a kernel every field is a plain array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CONTEXTS",
    "DEAD",
    "ENTERED",
    "EVERY_TERMINAL",
    "EXITS",
    "FRAMES",
    "FULL",
    "ITEMS",
    "KEYS",
    "LEAVES",
    "LEXER_FULL",
    "LEXER_ITEMS",
    "LEXER_STATES",
    "LIVE",
    "LOCAL",
    "MACHINE_FULL",
    "MACHINE_STATES",
    "MEMO",
    "MEMO_FULL",
    "MOST_LEXER_STATES",
    "MOST_TERMINALS",
    "NEW_NODES",
    "NEW_ROW",
    "NEW_TOKENS",
    "NODES",
    "OVERFLOW",
    "PAIRS",
    "PARTS",
    "ROWS",
    "SCRATCH",
    "STATES",
    "THREADS",
    "TOKENS",
    "UNKNOWN",
    "BesideArrays",
    "DfaArrays",
    "GuideArrays",
    "LexerArrays",
    "MachineArrays",
    "MemoArrays",
    "NetworkArrays",
    "NfaArrays",
    "SliceArrays",
    "TrieArrays",
]

# Values of `DfaArrays.table`: a positive number is a live state, 0 the dead state,
# UNKNOWN a transition never taken, and -(s + 1) with s >= 1 a state s that exists but
# is not yet known to be live.
UNKNOWN = -1

# Values of `DfaArrays.status`.
LIVE = 1
DEAD = 2

# Items of `DfaArrays.counts`: how much is used of the states, of `pool`, the frames and
# `pairs`; pending calls; and, in FULL, which of these arrays had no room.
STATES, ITEMS, FRAMES, PAIRS, SCRATCH, FULL = range(6)

# In FULL: it was not the automaton but the masker's memo that had no room.
MEMO = 6

# The frame of a rule that is read on its own, for the sake of `kernels.compose`: what
# stands below it is left open. Frame 0 is the bottom, under which nothing stands.
LOCAL = 1

# Returned by kernels that ran out of room; the caller grows the arrays and calls again.
OVERFLOW = -1


class NfaArrays(NamedTuple):
    """A disjoint union of byte automata ("components") and the formula over them.

    Bytes are mapped to classes by `class_of_byte`; classes are intervals of bytes in
    byte order, so an edge carries a closed interval of classes.
    """

    class_of_byte: NDArray[np.int32]  # [256]; -1: no token of the vocabulary has this byte
    edge_start: NDArray[np.int32]  # [n + 1] edges of state s: edge_start[s] .. edge_start[s + 1]
    edge_low: NDArray[np.int32]  # [edges] first class
    edge_high: NDArray[np.int32]  # [edges] last class
    edge_to: NDArray[np.int32]  # [edges] target state
    jump_start: NDArray[np.int32]  # [n + 1] empty moves of state s
    jump_to: NDArray[np.int32]  # [jumps] target state
    component: NDArray[np.int32]  # [n] which component a state belongs to
    distance: NDArray[np.int32]  # [n] bytes to the component's accepting state
    required: NDArray[np.int8]  # [components] 1: the formula cannot hold without it
    trusted: NDArray[np.int8]  # [1] 1: a set that is not empty is live, without a search
    # [n, 3] the fewest characters, the most characters and the most bytes to the component's
    # accepting state; empty where no component that is required has any bound.
    spans: NDArray[np.int32]
    accept: NDArray[np.int32]  # [components] accepting state of each component, -1: none
    starts: NDArray[np.int32]  # start states of the components that run from the beginning
    # Postfix programs over components, one after another; see `kernels.formula`.
    code: NDArray[np.int32]
    code_start: NDArray[np.int32]  # [programs + 1]; program 0 decides acceptance
    regimes: NDArray[np.int64]  # [counters] bit r: the counter's test holds in regime r
    all_regimes: NDArray[np.int64]  # [1] one bit for each regime
    # Rules, tried in order when a state is made; see `kernels.subset.apply_rules`.
    rule_kind: NDArray[np.int32]
    rule_program: NDArray[np.int32]
    rule_component: NDArray[np.int32]
    rule_start: NDArray[np.int32]  # start state to inject (STOPS_BEFORE)
    rule_alive: NDArray[np.int32]  # component to kill when the rule fires


class DfaArrays(NamedTuple):
    """The lazily built deterministic automaton: every array is in and out.

    A deterministic state is a set of *items*: `frame << 32 | nfa state`. The frame says
    where to go on when a grammar's rule ends; patterns have no rules, and frame 0. As in
    Earley's algorithm (CACM 1970), all calls of a rule at one place share its frame, so an
    ambiguous grammar costs no more items than places.
    """

    table: NDArray[np.int32]  # [capacity, classes], see UNKNOWN
    status: NDArray[np.int8]  # [capacity] 0 not known yet, LIVE or DEAD
    distance: NDArray[np.int32]  # [capacity] no fewer bytes than this lead to acceptance
    accepting: NDArray[np.int64]  # [capacity] bit r: accepting while the token count is in regime r
    injecting: NDArray[np.int8]  # [capacity] 1: a STOPS_BEFORE phrase may begin here
    stopped: NDArray[np.int8]  # [capacity] 1: a stop phrase just ended the hole
    leaving: NDArray[np.int8]  # [capacity] 1: a rule in the frame LOCAL may end here
    companion: NDArray[np.int32]  # [capacity] the companion's state, 0 without one
    set_start: NDArray[np.int64]  # [capacity + 1] where a state's items stand in `pool`
    pool: NDArray[np.int64]  # sorted items, one set after another
    buckets: NDArray[np.int32]  # open hash table of states, 0: free; length a power of two
    counts: NDArray[np.int64]  # [6] see STATES to FULL
    stamp: NDArray[np.int32]  # [n + 1] scratch: last visit of an nfa state; last item: the clock
    members: NDArray[np.int64]  # scratch: the set being built
    stack: NDArray[np.int64]  # scratch
    truth: NDArray[np.int64]  # [64] scratch: operand stack of `kernels.formula`
    queue: NDArray[np.int32]  # [capacity] scratch of searches
    parent: NDArray[np.int32]  # [capacity] scratch of searches
    visited: NDArray[np.int32]  # [capacity + 1] scratch of searches; last item: the clock


class NetworkArrays(NamedTuple):
    """What only grammars need: calls of rules, and the frames that their ends lead back to.

    Kernels take None in its place for patterns, and are compiled without what it takes:
    each array of a bundle costs time at every call.
    """

    # Calls of grammar rules: read what the rule matches, then go on in the return state.
    call_start: NDArray[np.int32]  # [n + 1] calls of state s
    call_rule: NDArray[np.int32]  # [calls] the rule
    call_return: NDArray[np.int32]  # [calls] return state
    call_tail: NDArray[np.int8]  # [calls] 1: the return state only ends the calling rule
    rule_end: NDArray[np.int8]  # [n] 1: a rule ends here
    rule_first: NDArray[np.int32]  # [rules] start states; a rule stands before those it begins with
    # A frame is what a rule's end leads to: a sorted set of `frame below << 32 | return state`,
    # one pair for each call that the rule, begun where it was begun, may answer.
    frame_start: NDArray[np.int64]  # [frames + 1] where a frame's pairs stand in `pairs`
    pairs: NDArray[np.int64]  # one frame's pairs after another's
    frame_buckets: NDArray[np.int32]  # open hash table of frames, 0: free
    seen_item: NDArray[np.int64]  # scratch: open hash table of visited items above the bottom
    seen_clock: NDArray[np.int32]  # scratch: when they were visited
    call_head: NDArray[np.int32]  # [rules] scratch: first pending call of each rule
    call_clock: NDArray[np.int32]  # [rules] scratch: when that was written
    call_next: NDArray[np.int32]  # scratch: pending calls as linked lists
    call_pair: NDArray[np.int64]  # scratch: their pairs
    # The companion: a deterministic automaton that the grammar must agree with, state 0 dead,
    # 1 its start; see `kernels.companion`. Without one these arrays are empty.
    beside: NDArray[np.int32]  # [states, classes] its transitions
    beside_accepts: NDArray[np.int8]  # [states]
    reach: NDArray[np.int64]  # [n * states, words] its states at the end of rules
    frame_live: NDArray[np.int64]  # [frames, words] its states in which a frame can be completed
    frame_distance: NDArray[np.int32]  # [frames] bytes behind a rule's end that must follow


# Items of `MemoArrays.counts`: how many parts, numbers in `keys`, tokens, rows, exit sets,
# their nodes, and exit sets of parts there are; in MEMO_FULL, which of these arrays had no
# room; and of the part being made: how many tokens and nodes it has, and its row, -1: none.
PARTS, KEYS, TOKENS, ROWS, EXITS, NODES, LEAVES = range(7)
MEMO_FULL, NEW_TOKENS, NEW_NODES, NEW_ROW = range(7, 11)


class MemoArrays(NamedTuple):
    """What masks are put together from: every array is in and out. See `kernels.compose`.

    A *part* is what one rule (or lexeme), or what follows its end, has to say about a
    group of tokens. Its key is `exit set << 8 | group`, and then what it begins with: the
    look-ahead classes of nfa states, or a lexer state, or a context; exit set 0 stands for
    the beginning of all tokens. A node of an exit set has a label in its bits from 50 on;
    all nodes of a set have the same.
    """

    buckets: NDArray[np.int32]  # open hash table of parts, 0: free; part 0 is not used
    key_start: NDArray[np.int64]  # [capacity + 1] where a part's key stands in `keys`
    keys: NDArray[np.int64]
    token_start: NDArray[np.int64]  # [capacity + 1] where its tokens stand in `tokens`
    tokens: NDArray[np.int32]
    part_row: NDArray[np.int32]  # [capacity] its row in `rows`, -1: it has a list of tokens
    leave_start: NDArray[np.int64]  # [capacity + 1] where its exit sets stand in `leaves`
    leaves: NDArray[np.int32]  # exit sets of parts
    rows: NDArray[np.int32]  # [rows, words] packed masks
    exit_buckets: NDArray[np.int32]  # open hash table of exit sets, 0: free
    exit_start: NDArray[np.int64]  # [capacity + 1] where an exit set stands in `nodes`
    nodes: NDArray[np.int64]  # nodes of the trie at which rules may end, ascending
    counts: NDArray[np.int64]  # [11] see PARTS to NEW_ROW
    probes: NDArray[np.int32]  # [slices, 257] bytes to try for each slice, their number last
    classes: NDArray[np.int64]  # [groups, 2, n] look-ahead classes, see `kernels.lookahead`
    key: NDArray[np.int64]  # scratch: the key in question
    path: NDArray[np.int32]  # [longest token + 1] scratch: automaton states along a token
    work: NDArray[np.int32]  # [2, m, 2] scratch, see `kernels.slices.admits_slice`
    agenda: NDArray[np.int64]  # [m, 2] scratch: frames and exit sets to go on with
    found: NDArray[np.int64]  # [m] scratch: parts of the mask


class TrieArrays(NamedTuple):
    """The tokens' bytes as a trie in depth-first order; a node stands before its subtree."""

    byte: NDArray[np.uint8]  # [nodes] byte on the edge into the node
    depth: NDArray[np.int32]  # [nodes] bytes before this one
    end: NDArray[np.int32]  # [nodes] index behind the node's subtree
    token_start: NDArray[np.int32]  # [nodes + 1] tokens that end at node i, in `token_ids`
    token_ids: NDArray[np.int32]


class SliceArrays(NamedTuple):
    """Groups of tokens by length, and kinds of short tokens that a state may admit as a whole.

    The tokens are parted into groups, shorter ones first. Slices, widest first, are kinds
    within the first group. What each slice leaves over of it is a trie; all these, and then
    the tries of whole groups, lie one after another in one `TrieArrays`.
    """

    reader: NDArray[np.int8]  # [slices, 8, 256] next state of a UTF-8 reader, -1: not of the kind
    longest: NDArray[np.int32]  # [slices] characters of a token at most
    rows: NDArray[np.int32]  # [slices, words] the bits of the slice's tokens
    first_node: NDArray[np.int32]  # [slices + groups + 1] where each trie begins, and the end


# Items of `LexerArrays.counts`: how many states, items in `pool`, contexts and entries of
# `enter_key` there are; and, in LEXER_FULL, which array had no room, -1: none.
LEXER_STATES, LEXER_ITEMS, CONTEXTS, ENTERED, LEXER_FULL = range(5)

# A node of an exit set has 18 bits for a lexer state and 13 for a terminal.
MOST_LEXER_STATES = (1 << 18) - 1
MOST_TERMINALS = (1 << 13) - 1

# The context of all terminals; context 0 stands for "not known yet".
EVERY_TERMINAL = 1


class LexerArrays(NamedTuple):
    """The terminals of a grammar as one automaton, and its states as they are met.

    A state is a sorted set of items `layer << 32 | nfa state`; see `kernels.lexer`.
    """

    class_of_byte: NDArray[np.int32]  # [256]; -1: no token of the vocabulary has this byte
    edge_start: NDArray[np.int32]  # [n + 1] edges of nfa state s, by their first class
    edge_low: NDArray[np.int32]  # [edges] first class
    edge_high: NDArray[np.int32]  # [edges] last class
    edge_to: NDArray[np.int32]  # [edges] target
    terminal: NDArray[np.int32]  # [n] whose state it is
    accepts: NDArray[np.int8]  # [n] 1: the terminal may end here
    guard_start: NDArray[np.int32]  # [n + 1] guards of an accepting state, in `guards`
    guards: NDArray[np.int32]  # first states of guards
    guard_accepts: NDArray[np.int8]  # [n] 1: the guard forbids the end of its lexeme
    first: NDArray[np.int32]  # [terminals] start states
    ignored: NDArray[np.int8]  # [terminals] 1: it may stand anywhere
    table: NDArray[np.int32]  # [capacity, classes] target, 0: none, UNKNOWN
    winner: NDArray[np.int32]  # [capacity] first terminal by rank that may end here, -1: none
    goes_on: NDArray[np.int8]  # [capacity] LIVE or DEAD: more bytes can end a lexeme; 0: not known
    follow: NDArray[
        np.int8
    ]  # [capacity, classes] LIVE or DEAD: a lexeme that ended can be followed
    is_certain: NDArray[np.int8]  # [capacity] 1: some terminal that has no guard may end here
    is_bound: NDArray[np.int8]  # [capacity] 1: it has items above layer 0
    set_start: NDArray[np.int64]  # [capacity + 1] where a state's items stand in `pool`
    pool: NDArray[np.int64]
    buckets: NDArray[np.int32]  # open hash table of states, 0: free
    counts: NDArray[np.int64]  # [5] see LEXER_STATES to LEXER_FULL
    contexts: NDArray[np.int64]  # [capacity, words] sets of terminals, packed
    context_of: NDArray[np.int32]  # [parser states] the context of each, 0: not known yet
    enter_key: NDArray[np.int64]  # open hash table of (state, terminal, context), 0: free
    enter_value: NDArray[np.int32]  # the state in which the next lexeme begins
    members: NDArray[np.int64]  # scratch: the set being built
    queue: NDArray[np.int32]  # [capacity] scratch of searches
    visited: NDArray[np.int32]  # [capacity + 1] scratch of searches; last item: the clock


# Items of `MachineArrays.counts`: how many states and threads there are, and, in
# MACHINE_FULL, which array had no room, -1: none.
MACHINE_STATES, THREADS, MACHINE_FULL = range(3)


class MachineArrays(NamedTuple):
    """Lexer and parser together: a state is a sorted set of threads, see `kernels.threads`."""

    table: NDArray[np.int32]  # [capacity, classes] target, 0: none, UNKNOWN
    accepting: NDArray[np.int8]  # [capacity]
    set_start: NDArray[np.int64]  # [capacity + 1]
    pool: NDArray[np.int64]  # threads: parser state << 32 | lexer state
    buckets: NDArray[np.int32]  # open hash table of states, 0: free
    counts: NDArray[np.int64]  # [3] see MACHINE_STATES to MACHINE_FULL
    members: NDArray[np.int64]  # scratch: the set being built


class BesideArrays(NamedTuple):
    """What must hold beside a grammar, as a table; see `kernels.pairs`.

    A state stands for the state of a regular condition and, where there are any, for those
    of or-ed patterns and of stop phrases. State 0 is dead, 1 the start.
    """

    moves: NDArray[np.int32]  # [states, 256]
    regular: NDArray[np.int32]  # [states] the state of the condition alone, 0: it is dead
    agrees: NDArray[np.int8]  # [states] 1: the condition holds of the text so far
    alone: NDArray[np.int8]  # [states] 1: some text is accepted whatever the grammar says
    ends: NDArray[np.int8]  # [states] 1: this text is
    stops: NDArray[np.int8]  # [states] 1: a stop phrase just ended: accepted texts end here
    injected: NDArray[np.int32]  # [states] what becomes of it where a text is accepted
    is_final: NDArray[np.int8]  # [states] 1: a phrase that is cut off just ended the text


class GuideArrays(NamedTuple):
    """What a lexed grammar and a condition beside it leave possible; see `kernels.lexed_guide`.

    The condition is a table: state 0 is dead, 1 the start. *Boundaries* are its states in
    which lexemes can end, numbered from 0; sets of them are packed. Without room for such
    sets, `ends` is empty, and only costs are known.
    """

    accepts: NDArray[np.int8]  # [table's states] 1: the condition holds
    place: NDArray[np.int32]  # [lexer's nfa states, table's states] row in `ends`, -1: never met
    ends: NDArray[np.int64]  # [..., words] boundaries in which the lexeme can end
    star: NDArray[np.int64]  # [boundaries, words] those behind any ignored lexemes
    reach: NDArray[np.int64]  # [parser's nfa states * boundaries, words] where its rule can end
    rest: NDArray[np.int32]  # [lexer's nfa states] fewest bytes to the lexeme's end
    cost: NDArray[np.int32]  # [parser's nfa states] fewest bytes to the rule's end
    frame_live: NDArray[np.int64]  # [frames, words] boundaries from which frames can be completed
    frame_cost: NDArray[np.int32]  # [frames] fewest bytes to the text's end
    parser_live: NDArray[np.int64]  # [parser's states, words]
    parser_cost: NDArray[np.int32]  # [parser's states] -1: not known yet
    counts: NDArray[np.int64]  # [1] how many frames are known

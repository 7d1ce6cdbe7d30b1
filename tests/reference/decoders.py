"""Every decoder as plain loops over `Reference`: lists of paths, sorted; nothing is batched.

Scores, rules and the order of equals are those of `docs/reference/decoders.md`.
"""

import math
from dataclasses import replace

import numpy as np
from reference.phrase_coverage import count_coverage
from reference.search import END, Reference

ORDER = {"complete": 0, "truncated": 1, "dead-end": 2}


class Decoders(Reference):
    """The searches of one script, model and set of arguments."""

    penalty, early = 0.0, False

    def score(self, path):
        return path.logprob / max(1, path.length) ** self.penalty

    def reach(self, path):
        if self.penalty <= 0 or self.early == "heuristic":
            return self.score(path)
        longest = max(1, 2 * (self.max_len - path.n_prompt), path.length)
        return path.logprob / longest**self.penalty

    def best_first(self, paths):
        return sorted(paths, key=lambda path: (ORDER[path.status], -self.score(path)))

    def bar(self, finished, n):
        complete = self.best_first([path for path in finished if path.status == "complete"])
        return self.score(complete[n - 1]) if len(complete) >= n else -math.inf

    def still_going(self, active, finished, n):
        bar = self.bar(finished, n)
        if bar == -math.inf:
            return active
        if self.early is True:
            return []
        if self.early == "heuristic":
            return active if any(self.reach(path) > bar for path in active) else []
        return [path for path in active if self.reach(path) > bar]

    def candidates(self, active):
        """Return (whole logprob, token, child), best first."""
        found = [
            (path.logprob + logprob, token, child)
            for path in active
            for token, logprob, child in self.moves(path)
        ]
        return sorted(found, key=lambda item: -item[0])

    def taken(self, candidates, n, finished):
        """Take candidates until n go on; return (token, child) of those, and unscored tails."""
        active, tails = [], []
        for rank, (_, token, child) in enumerate(candidates):
            if len(active) == n:
                break
            if not child.status:
                active.append((token, child))
            elif rank < n:
                (tails if child.unscored else finished).append(child)
        return active, tails

    def scored_all(self, going, finished):
        """Score paths; set the finished ones aside."""
        going = [self.scored(path) for path in going]
        finished += [path for path in going if path.status]
        return [path for path in going if not path.status]

    def beam(self, n, penalty=0.0, early=False):
        self.penalty, self.early = penalty, early
        finished, going = [], [self.start()]
        while going:
            active = self.scored_all(going, finished)
            taken, tails = self.taken(self.candidates(active)[: 2 * n], n, finished)
            going = tails + self.still_going([child for _, child in taken], finished, n)
        return self.best_first(finished)[:n]

    def diverse_beam(self, n, groups, diversity):
        size = n // groups
        start = self.start()
        finished = [[] for _ in range(groups)]
        going = [[start] for _ in range(groups)]
        while any(going):
            active = [
                self.scored_all(paths, done) for paths, done in zip(going, finished, strict=True)
            ]
            made = []
            for group in range(groups):
                scored = [
                    (total - diversity * made.count(token), token, child)
                    for total, token, child in self.candidates(active[group])
                ]
                scored.sort(key=lambda item: -item[0])
                taken, tails = self.taken(scored[: 2 * size], size, finished[group])
                made += [token for token, _ in taken]
                children = [child for _, child in taken]
                going[group] = tails + self.still_going(children, finished[group], size)
        results = [path for done in finished for path in self.best_first(done)[:size]]
        return self.best_first(results)

    def beam_sample(self, n, seed, temperature, top_k):
        random = np.random.default_rng(np.random.SeedSequence([seed, 0])).random
        finished, going = [], [self.start()]
        while going:
            active = self.scored_all(going, finished)
            drawn = []
            bags = [self.bag(path, temperature, top_k) for path in active]
            best = max((path.logprob for path in active), default=0.0)
            shares = [math.exp(path.logprob - best) for path in active]
            while len(drawn) < 2 * n and any(bags):
                masses = [
                    share * sum(weight for weight, *_ in bag)
                    for share, bag in zip(shares, bags, strict=True)
                ]
                point = random() * sum(masses)
                at = 0
                while at < len(bags) - 1 and point >= masses[at]:
                    point -= masses[at]
                    at += 1
                place = 0
                while place < len(bags[at]) - 1 and point >= shares[at] * bags[at][place][0]:
                    point -= shares[at] * bags[at][place][0]
                    place += 1
                _, logprob, token, child = bags[at].pop(place)
                drawn.append((active[at].logprob + logprob, token, child))
            drawn.sort(key=lambda item: -item[0])
            taken, tails = self.taken(drawn, n, finished)
            going = tails + self.still_going([child for _, child in taken], finished, n)
        return self.best_first(finished)[:n]

    def bag(self, path, temperature, top_k):
        """Return (weight, logprob, token, child), tokens by id and the end last."""
        moves = sorted(self.moves(path), key=lambda move: (move[0] == END, move[0]))
        largest = max(logprob for _, logprob, _ in moves)
        scaled = [(logprob - largest) / temperature for _, logprob, _ in moves]
        if top_k:
            kept = sorted(range(len(moves)), key=lambda at: -scaled[at])[:top_k]
        else:
            kept = range(len(moves))
        total = sum(math.exp(scaled[at]) for at in kept)
        return [
            (math.exp(scaled[at]) / total, moves[at][1], moves[at][0], moves[at][2])
            for at in sorted(kept)
        ]

    def best_k(self, k, budget, kappa, beta, gamma, max_heap_size, continuations, penalty=0.7):
        self.penalty = penalty
        finished, heap, rounds, n_expanded = [], [], 0, 0

        def urgency(path):
            return kappa * (rounds - path.note) ** beta - self.score(path)

        going = [self.start()]
        while going:
            active = self.scored_all(going, finished)
            n_expanded += len(active)
            tails, unlikely = [], []
            for path in active:
                moves = sorted(self.moves(path), key=lambda move: -move[1])[:continuations]
                for _, logprob, child in moves:
                    if child.status:
                        (tails if child.unscored else finished).append(child)
                    elif math.exp(logprob) >= gamma:
                        heap.append(replace(child, note=rounds))
                    else:
                        unlikely.append(replace(child, note=rounds))
            if not heap and not any(p.status == "complete" for p in finished + tails):
                heap = unlikely
            heap = sorted(heap, key=urgency)[:max_heap_size]
            rounds += 1
            if n_expanded >= budget and any(p.status == "complete" for p in finished + tails):
                going = tails
                continue
            heap.sort(key=urgency)
            going, heap = tails + heap[:k], heap[k:]
        return self.best_first(finished)

    def var(self, b, n, subdecoder, seed, temperature=1.0, penalty=0.7):
        self.penalty = penalty
        finished, rounds = [], 0
        starts = [self.start()]
        while starts:
            values = []
            starts = self.scored_all(starts, finished)
            for number, start in enumerate(starts):
                if subdecoder == "sample":
                    found = self.hole_samples(start, b, temperature, [seed, 0, rounds, number])
                else:
                    found = self.hole_beam(start, b, penalty * (subdecoder == "beam_seq"))
                values += [path for path in found if not path.status]
                finished += [self.scored(path) for path in found if path.status]
            distinct = {}
            for path in values:
                distinct.setdefault(path.ids, path)
            starts = sorted(distinct.values(), key=lambda path: -self.score(path))[:n]
            rounds += 1
        return self.best_first(finished)

    def hole_samples(self, start, b, temperature, seeds):
        """Return b samples of one hole, in the order in which they end."""
        lanes = []
        for lane in range(b):
            random = np.random.default_rng(np.random.SeedSequence([*seeds, lane])).random
            path, steps = start, 0
            while not path.status and len(path.values) == len(start.values):
                path, steps = self.scored(path), steps + 1
                bag = self.bag(path, temperature, None)
                point = random() * sum(weight for weight, *_ in bag)
                at = 0
                while at < len(bag) - 1 and point >= bag[at][0]:
                    point -= bag[at][0]
                    at += 1
                path = bag[at][3]
            lanes.append((steps, path))
        return [path for _, path in sorted(lanes, key=lambda item: item[0])]

    def hole_beam(self, start, b, penalty):
        def score(path):
            length = max(1, path.length - start.length)
            return (path.logprob - start.logprob) / length**penalty

        values, finished, going = [], [], [start]
        while going:
            active = [self.scored(path) for path in going]
            going = []
            for rank, (_, _, child) in enumerate(self.candidates(active)[: 2 * b]):
                if len(going) == b:
                    break
                if not child.status and len(child.values) == len(start.values):
                    going.append(child)
                elif rank < b:
                    (finished if child.status else values).append(child)
            values = sorted(values, key=lambda path: -score(path))[:b]
            if len(values) == b:
                worst = score(values[-1])
                going = [
                    path
                    for path in going
                    if (path.logprob - start.logprob)
                    / max(1, 2 * (self.max_len - path.n_prompt)) ** penalty
                    > worst
                ]
        return finished + values

    def beam_var(self, n, penalty=0.7, prune=None):
        self.penalty, self.early = penalty, "heuristic"
        finished, going = [], [self.start()]
        while going:
            active = self.scored_all(going, finished)
            tails, pools = [], {}
            for parent, path in enumerate(active):
                for _, _, child in sorted(self.moves(path), key=lambda move: -move[1])[:n]:
                    if child.status:
                        (tails if child.unscored else finished).append(child)
                    else:
                        pools.setdefault(child.name, []).append((parent, child))
            complete = [path.logprob for path in finished if path.status == "complete"]
            children = []
            floor = prune * max(complete) if prune and complete else -math.inf
            for pool in pools.values():
                kept = [item for item in pool if item[1].logprob >= floor]
                children += self.pool_kept(kept, active, n)
            if len(complete) >= 2 * n:
                children = []
            going = tails + self.still_going(children, finished, n)
        return self.best_first(finished)[:n]

    def pool_kept(self, pool, active, n):
        ranked = sorted(pool, key=lambda item: -self.score(item[1]))
        seen, banks = set(), {}
        for at, (parent, child) in enumerate(ranked):
            if at < n or parent not in seen or child.n_forced > active[parent].n_forced:
                banks.setdefault(child.n_forced, []).append(child)
            seen.add(parent)
        places = allocated({bank: len(children) for bank, children in banks.items()}, n)
        return [child for bank, children in banks.items() for child in children[: places[bank]]]

    def grid(self, n, penalty=0.0, early=False, dynamic=False):
        self.penalty, self.early = penalty, early
        finished, going = [], [self.start()]
        while going:
            active = self.scored_all(going, finished)
            cells = {}
            for path in active:
                for token, logprob, child in self.moves(path):
                    cell = self.coverage_behind(path, token)
                    cells.setdefault(cell, []).append((path.logprob + logprob, token, child))
            for candidates in cells.values():
                candidates.sort(key=lambda item: -item[0])
                del candidates[2 * n :]
            places = dict.fromkeys(cells, n)
            if dynamic:
                places = allocated({cell: len(found) for cell, found in cells.items()}, n)
            tails, children = [], []
            for cell in sorted(cells, reverse=True):
                taken, unscored = self.taken(cells[cell], places[cell], finished)
                children += [child for _, child in taken]
                tails += unscored
            going = tails + self.still_going(children, finished, n)
        return self.best_first(finished)[:n]

    def coverage_behind(self, path, token):
        """Return the coverage of a path's text with one more token."""
        raw = path.hole[3] if token == END else path.hole[3] + self.model.vocabulary.tokens[token]
        return path.covered + self.count(path.name, path.values, raw)

    def count(self, name, values, raw):
        del name
        goals = getattr(self.script(values, self.arguments)[3], "goals", ())
        spell = lambda phrase: [  # noqa: E731
            len(self.model.vocabulary.tokens[i]) for i in self.model.encode(phrase, at_start=False)
        ]
        return count_coverage(raw, goals, spell)

    def _close(self, path):
        covered = path.covered + self.count(path.name, path.values, path.hole[3])
        return replace(super()._close(replace(path, covered=covered)), covered=covered)


def allocated(filled, n):
    """Divide n places among banks: equal shares, the rest upwards, then downwards."""
    banks = sorted(filled)
    wanted = [n // len(banks) for _ in banks] if banks else []
    if banks:
        wanted[-1] += n % len(banks)
    spare = 0
    for at in [*range(len(banks)), *reversed(range(len(banks)))]:
        total = wanted[at] + spare
        wanted[at] = min(total, filled[banks[at]])
        spare = total - wanted[at]
    return dict(zip(banks, wanted, strict=True))

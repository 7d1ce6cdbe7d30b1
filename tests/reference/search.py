"""Searches over a toy model in plain loops, from the definitions.

A script (see `script.py`) whose constraints are finite sets of texts, given as
`frozenset`s of strings, is searched by trying every token. Nothing is cached, batched or
masked: every logit is computed from scratch, every constraint is a loop over its texts.
"""

import math
from dataclasses import dataclass, field, replace
from itertools import takewhile

END = -1


@dataclass(frozen=True)
class Path:
    """One way through a script, up to a choice (`hole` is set) or to its end."""

    ids: tuple = ()
    values: tuple = ()
    logprob: float = 0.0
    unscored: tuple = ()
    hole: tuple = None  # (name, texts as bytes, follow as bytes, raw bytes)
    status: str = ""
    text: bytes = b""
    first: int = field(default=0, compare=False)
    n_prompt: int = 0
    n_ends: int = 0
    n_forced: int = 0
    covered: int = 0
    name: str = ""
    note: object = None

    @property
    def length(self):
        return len(self.ids) - self.n_prompt + self.n_ends


class Reference:
    """The rules of a run, naively.

    Args:
        script: its formulas are frozensets of strings.
        model: a `ToyModel`.
        arguments: of the script.
        max_len: longest prompt in tokens.
    """

    def __init__(self, script, model, arguments=None, max_len=2048):
        self.script = script
        self.model = model
        self.arguments = arguments or {}
        self.max_len = max_len

    def start(self):
        return self._settle(self._next(Path()))

    def choices(self, path):
        """Return all (logprob of the choice, child) of a path that needs a choice."""
        return [(logprob, child) for _, logprob, child in self.moves(path)]

    def moves(self, path):
        """Return all (token or END, logprob, child) of a path that needs a choice."""
        name, texts, follow, raw = path.hole
        logits = self.model.logits_after(path.ids)
        normalizer = _logsumexp([float(x) for x in logits])
        found = []
        allowed = self._allowed(texts, raw)
        if raw in texts:
            ends = set(self.model.vocabulary.eos_token_ids)
            for token_id, data in enumerate(self.model.vocabulary.tokens):
                if data and follow.startswith(data) and token_id not in allowed:
                    ends.add(token_id)
            logprob = _logsumexp([float(logits[i]) for i in ends]) - normalizer
            n_ends = path.n_ends + bool(raw)
            ended = replace(path, logprob=path.logprob + logprob, n_ends=n_ends)
            found.append((END, logprob, self._settle(self._close(ended))))
        for token_id in allowed:
            logprob = float(logits[token_id]) - normalizer
            data = self.model.vocabulary.tokens[token_id]
            child = replace(
                path,
                ids=(*path.ids, token_id),
                hole=(name, texts, follow, raw + data),
                logprob=path.logprob + logprob,
                text=path.text + data,
            )
            found.append((token_id, logprob, self._settle(child)))
        return found

    def scored(self, path):
        """Return the path with the log-probabilities of its forced tokens added."""
        logprob = path.logprob
        for at in path.unscored:
            logits = [float(x) for x in self.model.logits_after(path.ids[:at])]
            logprob += logits[path.ids[at]] - _logsumexp(logits)
        return replace(path, logprob=logprob, unscored=())

    def everything(self):
        """Return every finished path, best first: depth first over all choices."""
        finished, todo = [], [self.start()]
        while todo:
            path = self.scored(todo.pop())
            if path.status:
                finished.append(path)
            else:
                todo.extend(child for _, child in self.choices(path))
        return _best_first(finished)

    def beam(self, n):
        """Return the finished paths of a beam search of width n, best first."""
        active, finished = [self.start()], []
        while active:
            active = [self.scored(path) for path in active]
            finished += [path for path in active if path.status]
            complete = _best_first([path for path in finished if path.status == "complete"])
            bar = complete[n - 1].logprob if len(complete) >= n else -math.inf
            candidates = []
            for path in active:
                if not path.status and path.logprob > bar:
                    candidates += [
                        (path.logprob + logprob, child) for logprob, child in self.choices(path)
                    ]
            candidates.sort(key=lambda item: -item[0])
            active = []
            n_going = 0
            for rank, (_, child) in enumerate(candidates[: 2 * n]):
                if n_going == n:
                    break
                if not child.status:
                    n_going += 1
                    active.append(child)
                elif rank < n:
                    active.append(child)
        return _best_first(finished)[:n]

    def greedy(self):
        """Return the path of likeliest choices."""
        path = self.start()
        while not path.status:
            path = max(self.choices(self.scored(path)), key=lambda choice: choice[0])[1]
        return path

    # the rules between two choices

    def _next(self, path):
        step = self.script(path.values, self.arguments)
        new = []
        if step[1] or not path.ids:
            new = self.model.encode(step[1], at_start=not path.ids)
        path = replace(
            path,
            ids=(*path.ids, *new),
            text=path.text + step[1].encode(),
            n_prompt=path.n_prompt + len(new),
        )
        if step[0] == "end":
            return replace(path, status="complete", hole=None)
        _, _, name, texts, follow = step
        encoded = tuple(sorted(text.encode() for text in texts))
        if len(path.ids) > self.max_len:
            return replace(path, status="truncated", hole=None)
        if not encoded:
            return replace(path, status="dead-end", hole=None)
        hole = (name, encoded, follow.encode(), b"")
        return replace(path, hole=hole, first=len(path.ids), name=name)

    def _settle(self, path):
        while not path.status:
            name, texts, follow, raw = path.hole
            going = [text for text in texts if text.startswith(raw) and text != raw]
            if not going:
                path = self._close(path) if raw in texts else replace(path, status="dead-end")
                continue
            if len(path.ids) >= self.max_len:
                return replace(path, status="truncated")
            run = self._forced_run(texts, raw)
            allowed = self._allowed(texts, raw)
            if not run and len(allowed) == 1 and raw not in texts:
                run = allowed
            if not run:
                return path
            run = run[: self.max_len - len(path.ids)]
            data = b"".join(self.model.vocabulary.tokens[i] for i in run)
            start = len(path.ids)
            path = replace(
                path,
                ids=(*path.ids, *run),
                unscored=(*path.unscored, *range(start, start + len(run))),
                hole=(name, texts, follow, raw + data),
                text=path.text + data,
                n_forced=path.n_forced + len(run),
            )
        return path

    def _forced_run(self, texts, raw):
        try:
            raw.decode()
        except UnicodeDecodeError:
            return []
        going = [text for text in texts if text.startswith(raw)]
        forced = b""
        while raw + forced not in texts:
            following = {text[len(raw + forced)] for text in going}
            if len(following) > 1:
                break
            forced += bytes(following)
        forced = forced.decode(errors="ignore").encode()
        if not forced:
            return []
        tokens = self.model.vocabulary.tokens
        certain = None  # what the spellings up to every place where a token may reach over share
        for end in range(len(forced) + 1):
            longest = max(
                (len(tokens[i]) for i in self._allowed(texts, raw + forced[:end])), default=0
            )
            if end < len(forced) and longest <= len(forced) - end:
                continue
            try:
                ids = self.model.encode(forced[:end].decode(), at_start=False)
            except UnicodeDecodeError:
                return []
            shared = takewhile(
                lambda pair: pair[0] == pair[1], zip(certain or ids, ids, strict=False)
            )
            certain = [token_id for token_id, _ in shared]
            if not certain:
                return []
        return certain

    def _allowed(self, texts, raw):
        return [
            token_id
            for token_id, data in enumerate(self.model.vocabulary.tokens)
            if data and any(text.startswith(raw + data) for text in texts)
        ]

    def _close(self, path):
        name, _, _, raw = path.hole
        return self._next(replace(path, values=(*path.values, (name, raw.decode())), hole=None))


def _best_first(paths):
    order = {"complete": 0, "truncated": 1, "dead-end": 2}
    return sorted(paths, key=lambda path: (order[path.status], -path.logprob))


def _logsumexp(values):
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))

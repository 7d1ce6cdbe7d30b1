"""A plain reader of TextMate grammars: which scopes each character has.

Covers what editors/lmql.tmLanguage.json uses: match, begin and end, captures, includes,
names, and `\\1` in an end that refers to its begin. Lines are read one after the other; the
stack of open rules goes from one to the next.
"""

import functools

import regex


class TextMate:
    def __init__(self, grammar):
        self.grammar = grammar

    def scopes(self, text):
        """Return for each line a list of scopes for each character, and the rules left open."""
        stack = [(self.grammar, None)]
        lines = [self._line(line, stack) for line in text.split("\n")]
        return lines, stack[1:]

    def _line(self, line, stack):
        found = [[] for _ in line]
        at = 0
        while True:
            rule, end = stack[-1]
            best = None
            if end is not None:
                match = compiled(end).search(line, at)
                best = match and (match, None)
            for pattern in self._patterns(rule.get("patterns", ())):
                match = compiled(pattern.get("match") or pattern["begin"]).search(line, at)
                if match and (best is None or match.start() < best[0].start()):
                    best = (match, pattern)
            if best is None:
                break
            match, pattern = best
            paint(found, at, match.start(), names(stack))
            if pattern is None:
                paint(found, *match.span(), names(stack))
                capture(found, match, rule.get("endCaptures", {}))
                stack.pop()
            elif "match" in pattern:
                paint(found, *match.span(), [*names(stack), *named(pattern)])
                capture(found, match, pattern.get("captures", {}))
            else:
                stack.append((pattern, expanded(pattern["end"], match)))
                paint(found, *match.span(), names(stack))
                capture(found, match, pattern.get("beginCaptures", {}))
            if match.end() == at and match.start() == at and pattern and "match" in pattern:
                raise ValueError(f"{pattern} matches nothing at {at} of {line!r}")
            at = match.end()
            if at == len(line) and not self._can_end(stack, line):
                break
        paint(found, at, len(line), names(stack))
        return found

    @staticmethod
    def _can_end(stack, line):
        end = stack[-1][1]
        return end is not None and compiled(end).search(line, len(line))

    def _patterns(self, patterns):
        for pattern in patterns:
            name = pattern.get("include")
            if name is None:
                if "match" in pattern or "begin" in pattern:
                    yield pattern
                else:
                    yield from self._patterns(pattern["patterns"])
            else:
                yield from self._patterns([self.grammar["repository"][name.removeprefix("#")]])


@functools.cache
def compiled(pattern):
    return regex.compile(pattern.replace(r"\h", "[0-9a-fA-F]"))


def named(rule):
    return [rule["name"]] if "name" in rule else []


def names(stack):
    return [name for rule, _ in stack[1:] for name in named(rule)]


def paint(found, start, end, scopes):
    for at in range(start, end):
        found[at] = list(scopes)


def capture(found, match, captures):
    for number, rule in captures.items():
        for at in range(*match.span(int(number))):
            if at >= 0:
                found[at].append(rule["name"])


def expanded(end, match):
    for i in range(1, match.re.groups + 1):
        end = end.replace(f"\\{i}", regex.escape(match[i] or ""))
    return end

"""Coverage of phrases by looking: what `lmql_like.runtime.coverage` counts."""


def count_coverage(text, goals, spell):
    """Return the coverage of a text.

    Args:
        text: bytes.
        goals: each a list of phrases, one of which must occur.
        spell: returns the lengths of the tokens that write a phrase.
    """
    covered, begun = 0, 0
    for goal in goals:
        size = max(len(spell(phrase)) for phrase in goal)
        if any(phrase.encode() in text for phrase in goal):
            covered += size
            continue
        for phrase in goal:
            data, tokens = phrase.encode(), spell(phrase)
            at_end = max(n for n in range(len(data) + 1) if text.endswith(data[:n]))
            whole = sum(sum(tokens[: n + 1]) <= at_end for n in range(len(tokens)))
            if whole:
                begun = max(begun, size - len(tokens) + whole)
    return covered + begun


def count_behind_tokens(tokens, text, goals, spell):
    """Return the coverage behind each token, -1 for one that writes nothing."""
    return [count_coverage(text + token, goals, spell) if token else -1 for token in tokens]

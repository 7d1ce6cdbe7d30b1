"""Every error the package raises on purpose, its code, and its one rendering.

    LmqlLikeError              has a code, and knows how to render itself
    ├── QueryError    Q...     the query's author: syntax, scopes, constraints, arguments
    ├── GrammarError  G...     a pattern or grammar: dialect, limits, vocabulary
    ├── SchemaError   S...     a JSON Schema: what it says, what cannot be enforced
    ├── RunError      R...     a run that cannot start or go on
    └── ModelError    M...     a model or tokenizer that cannot be loaded or used

`CODES` names each code once; `docs/errors/<code>.md` explains it, and
`lmql-like explain <code>` prints that page.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lmql_like.source import Source, Span, printable

__all__ = [
    "CODES",
    "GrammarError",
    "LmqlLikeError",
    "ModelError",
    "QueryError",
    "RunError",
    "SchemaError",
    "did_you_mean",
    "render_report",
]

CODES: dict[str, str] = {
    # Q0: the text cannot be read or parsed
    "Q001": "a string is never closed",
    "Q002": "a bracket is never closed, or closes none",
    "Q003": "a character that no statement contains",
    "Q004": "a line is indented to no open block",
    "Q005": "Python cannot read a statement or an expression",
    "Q006": "something stands behind a complete statement",
    "Q007": "a query or grammar file cannot be read",
    "Q008": "there is no such error code",
    "Q009": "formatting a query would change what it does",
    "Q010": "a bracket or brace of a prompt string is never closed",
    "Q011": "a single closing bracket or brace in a prompt string",
    "Q012": "what stands in the brackets of a prompt string is no hole",
    "Q013": "what stands in the braces of a prompt string is no interpolation",
    "Q014": "an f-string where a prompt string is expected",
    "Q015": "bytes where a prompt string is expected",
    "Q016": "a string that is no prompt string would be lost",
    "Q017": "a prompt string is not valid Unicode",
    "Q018": "a clause is empty",
    "Q019": "'break' or 'continue' outside a loop",
    "Q020": "a statement that a query cannot contain",
    "Q051": "there is no clause 'scoring'",
    "Q055": "the annotation of a hole is no type",
    "Q056": "a distribution clause is about no hole and its values",
    "Q057": "a query is not defined as it has to be",
    # Q1: names and scopes
    "Q101": "a hole is read before it is filled",
    "Q102": "a name has no value",
    "Q104": "a where-clause names an unknown hole",
    "Q106": "'import *' in a query",
    "Q107": "an imported query file has no such name",
    "Q108": "query files import each other",
    # Q2: constraints
    "Q201": "a condition cannot be enforced while a hole is filled",
    "Q202": "there is no such operator",
    "Q203": "an operator is not used as it has to be",
    "Q204": "STOPS_BEFORE stands below 'or' or 'not'",
    "Q205": "an operator is not supported yet",
    "Q206": "a where-clause behind a prompt string without a hole",
    "Q207": "a where-clause is about a hole of another prompt string",
    "Q208": "an operator is given the wrong kind of value",
    "Q209": "a condition reads a hole that is filled later",
    "Q210": "tokens are counted in a condition over several holes",
    "Q211": "no text can fill a hole",
    "Q212": "a condition needs a hole that the model writes",
    "Q213": "a hole has a second grammar, or one that is negated",
    # Q3: decoders and clauses
    "Q301": "there is no such decoder",
    "Q303": "a decoder has no such parameter",
    "Q304": "a decoder parameter has a value it does not accept",
    "Q305": "a clause is repeated",
    "Q306": "the model is not given by its name",
    "Q307": "a clause or a body stands at the wrong place",
    # Q4: arguments and calls
    "Q401": "an argument is missing",
    "Q402": "the query has no such argument",
    "Q403": "the text of an argument is no value of its type",
    "Q404": "an argument's annotation is no known type",
    "Q405": "a query function has no docstring",
    "Q406": "a data file cannot be read",
    "Q407": "an output file cannot be written, or belongs to other data",
    # Q5: sessions
    "Q501": "the program of a session has returned",
    "Q502": "a decoder or model clause in a session",
    "Q503": "a clause below an input does not fit the others",
    "Q504": "there is no such command of a session",
    "Q505": "there is nothing to look at or to take back yet",
    "Q506": "an argument cannot be written into a program",
    "Q507": "a file is not written",
    # Q6: what may be a mistake in a query
    "Q601": "the value of a hole is never used",
    "Q602": "the value of a hole is overwritten before it is used",
    "Q603": "a name hides another one",
    "Q604": "a hole ends only where the model ends its text",
    "Q605": "a statement is never reached",
    "Q606": "a condition says nothing",
    "Q607": "an argument is never used",
    # Q7: queries put together in Python
    "Q701": "a condition is used as if it were true or false",
    "Q702": "a query is put together of something that it cannot hold",
    # G1: patterns
    "G101": "the pattern is not a regular expression",
    "G102": "the pattern uses a feature outside the dialect",
    "G103": "a stop phrase is empty",
    "G104": "STOPS_AT or STOPS_BEFORE stands where it cannot be enforced",
    "G105": "a grammar is combined with other conditions",
    # G2: limits
    "G201": "the constraint needs more automaton states than the limit allows",
    "G202": "the pattern writes out to more states than the limit allows",
    "G203": "the pattern nests too many groups",
    # G3: vocabularies
    "G301": "the tokenizer has no fast version",
    "G302": "the tokenizer's tokens cannot be read as bytes",
    "G303": "the vocabulary is empty or malformed",
    "G304": "a grammar on a vocabulary that cannot write every byte",
    "G305": "there is no token of this number",
    # G4: grammars
    "G401": "the grammar cannot be read",
    "G402": "a rule is used that is not defined",
    "G403": "a rule is defined twice",
    "G404": "the grammar has no start rule",
    "G405": "the grammar nests too many groups or templates",
    "G406": "the grammar uses a feature that is not supported",
    "G408": "there is no such grammar syntax or reading",
    "G409": "a terminal matches the empty text",
    "G410": "the grammar is too long",
    "G411": "a grammar cannot be written from these parts",
    # G5: what `check-grammar` finds in a grammar that can be read
    "G501": "a rule is never used",
    "G502": "a rule matches no text",
    "G503": "an alternative is written twice",
    "G504": "two rules are written alike",
    "G505": "a terminal is never used",
    "G506": "a terminal matches no text",
    "G507": "a terminal never wins against another",
    "G508": "two terminals in a row can never be told apart",
    "G509": "a terminal also matches words of the grammar",
    "G510": "something that may be empty is repeated without end",
    "G511": "a rule can stand for itself alone",
    "G512": "two repeats in a row match the same texts",
    "G513": "a rule begins with itself behind something that may be empty",
    "G514": "the grammar has no start rule of the usual name",
    "G515": "a rule names a terminal that is never found",
    # S1: schemas
    "S101": "the text is no JSON Schema",
    "S102": "a keyword has a value that it cannot have",
    "S103": "a reference leads nowhere",
    "S104": "a reference leads back to itself",
    "S105": "the schema is written in an unknown dialect",
    "S106": "an option of the schema compiler has a value it does not accept",
    # S2: patterns in schemas
    "S201": "the pattern is no ECMA-262 regular expression",
    "S202": "the pattern uses a feature that is not supported",
    "S203": "the pattern has assertions and is too large",
    # S3: what cannot be enforced
    "S301": "a keyword cannot be enforced",
    "S302": "the schema has too many alternatives",
    "S303": "the schema nests too deep",
    "S304": "the schema needs larger automata than the limit allows",
    "S305": "an object has too many required properties to come in any order",
    # S4: types of Python
    "S401": "a type has no text that is read back",
    "S402": "a pattern of a type uses a feature that is not supported",
    "S403": "a type is not known to be one",
    # R: running a program
    "R101": "the query's own Python raised an exception",
    "R102": "an operator was given the wrong kind of value",
    "R103": "the text of a hole is no value of its type",
    "R104": "the program runs without reaching a hole",
    "R105": "a condition reads a hole that is not filled",
    "R106": "a state is filled that waits for no hole",
    "R107": "text of the prompt is not valid Unicode",
    "R108": "the annotation of a hole is neither a type nor a query",
    "R109": "queries nest without end",
    "R110": "a nested query asks for another decoder, model or seed",
    "R111": "a decorator of a hole is no function",
    "R112": "the model has no chat template",
    "R113": "the model's chat template refuses a role",
    "R114": "there is no such token healing",
    # R2: decoders
    "R201": "there is no decoder of this name",
    "R202": "the decoder has no such parameter",
    "R203": "a decoder parameter has a value it does not accept",
    "R204": "the text is not a decoder call",
    "R205": "the program fills holes without end and writes nothing",
    "R206": "a value can be spelled in too many ways",
    "R207": "a function of queries is called outside a run",
    "R208": "a decoder returned no result",
    "R209": "the result of a stream is asked for before its end",
    "R210": "the hole of an F could not be filled as its condition demands",
    # M1: loading a model
    "M101": "the model does not exist",
    "M102": "the model's folder has no usable configuration",
    "M103": "the model's folder has no weights",
    "M104": "the weights are stored as a pickle",
    "M105": "the model has no fast tokenizer",
    "M106": "the model is an encoder-decoder of an unknown kind",
    "M107": "the model comes with code of its own",
    "M108": "the Hugging Face hub cannot be reached",
    "M109": "there is no such number type for weights",
    "M110": "there is no such device",
    "M111": "there is not enough memory for the model",
    "M112": "the installation has no embedded model",
    "M113": "the model is no causal language model",
    "M114": "the weights cannot be loaded",
    "M115": "no way to run the model exactly is known",
    "M116": "the budget is smaller than one expert",
    "M117": "the model has no experts that can be buffered or gated",
    # M2: running a model
    "M201": "the model's logits are not finite numbers",
    "M202": "the vocabulary cannot spell a text",
    "M203": "the prompt is empty and the model has no start token",
    "M204": "the source of an encoder-decoder contains the token that ends it",
}


class LmqlLikeError(Exception):
    """An error with a code, a place where one is known, and a way out.

    Args:
        code: a key of `CODES`, such as "Q104".
        message: what is wrong, in one line, found before expected.
        source: the text the error is about.
        span: the place in that text.
        label: a few words behind the carets.
        help: one edit that would mend it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        source: Source | None = None,
        span: Span | None = None,
        label: str = "",
        help: str = "",  # noqa: A002 - the word that the rendering shows
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.source = source
        self.span = span
        self.label = label
        self.help = help

    @property
    def position(self) -> tuple[int, int] | None:
        """Line and column of the error, both counted from 1, where a place is known."""
        if self.source is None or self.span is None:
            return None
        return self.source.position(self.span.start)

    def located(self, source: Source, span: Span, label: str = "") -> LmqlLikeError:
        """Return this error; give it a place if it has none yet."""
        if self.source is None:
            self.source, self.span, self.label = source, span, self.label or label
        return self

    def render(self) -> str:
        """Return the error as a user reads it: code, place with carets, help."""
        head = f"error[{self.code}]: {self.message}"
        return render_report(head, self.source, self.span, self.label, self.help)

    def __str__(self) -> str:
        return self.render()


class QueryError(LmqlLikeError):
    """The query is wrong: its syntax, its names, its constraints or its arguments."""


class GrammarError(LmqlLikeError):
    """A pattern, grammar or vocabulary is wrong, unsupported or over a limit."""


class SchemaError(LmqlLikeError):
    """A JSON Schema is wrong or cannot be enforced.

    Attributes:
        pointer: where in the schema, a JSON pointer such as "/properties/name/pattern".
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        pointer: str | None = None,
        help: str = "",  # noqa: A002 - the word that the rendering shows
    ) -> None:
        super().__init__(code, message, help=help)
        self.pointer = pointer

    def render(self) -> str:
        """Return the error as a user reads it: code, pointer, help."""
        head = f"error[{self.code}]: {self.message}"
        if self.pointer is not None:
            head += f"\n  --> #{self.pointer}"
        return render_report(head, None, None, "", self.help)


class RunError(LmqlLikeError):
    """A run cannot start or cannot go on."""


class ModelError(LmqlLikeError):
    """A model or tokenizer cannot be loaded or used."""


def render_report(
    head: str, source: Source | None, span: Span | None, label: str, help_: str
) -> str:
    """Return a message with its place and a way out, as all of ours are shown."""
    lines = [head]
    gutter = "  "
    if source is not None and span is not None:
        lines.append(source.excerpt(span, label))
        gutter = " " * (len(str(source.position(span.start)[0])) + 2)
    if help_:
        lines.append(f"{gutter}= help: {help_}")
    return printable("\n".join(lines))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{nearest[0]}'?" if nearest else ""

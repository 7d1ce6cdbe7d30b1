"""One query over the rows of a file: in full batches, resumable, a bad row never fatal.

Input: `.jsonl`, one object per line, or `.csv` with a header; columns are arguments.
The rows are one run: the place of one that ends is taken by the next.
Output: `.jsonl`, appended in order and flushed to disk every so many rows, so an
interruption loses little. Each line repeats its row's number and a digest of the row,
the query and its options; the same command goes on behind the rows already there, and
refuses an output that belongs to another query or other data.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmql_like.errors import LmqlLikeError, QueryError
from lmql_like.language.parameters import parse_argument
from lmql_like.language.program import Program
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.run import start_run

__all__ = ["DataRun"]

_LINE_START = b'{"row": '


@dataclass(frozen=True)
class _Row:
    """An input row: its arguments, or what is wrong with it."""

    number: int
    digest: str
    arguments: Mapping[str, Any]
    error: LmqlLikeError | None = None


class DataRun:
    """A query over a data file, perhaps already begun.

    Args:
        program: the query.
        data: the input file; `.csv` is read as such, anything else as JSON lines.
        output: the result file; made if it does not exist, continued if it does.
        defaults: arguments for columns that the data does not have.
        options: model, decoder and seed, as a text: results of others are not continued.

    Attributes:
        n_rows: rows of the input.
        n_done: rows whose results were there before.
        statuses: how many rows ended how, those done before included.

    Raises:
        QueryError: Q406 for a data file that cannot be read, Q407 for an output file that
            cannot be written or belongs to other data.
    """

    def __init__(
        self,
        program: Program,
        data: Path,
        output: Path,
        *,
        defaults: Mapping[str, Any],
        options: str = "",
    ) -> None:
        self._program = program
        self._output = output
        if output.exists() and data.exists() and output.samefile(data):
            raise QueryError(
                "Q407",
                f"the output file '{output}' is the data file itself",
                help="name another file for the results",
            )
        # What a row's result depends on, the model's weights aside.
        about = json.dumps([program.source.text, repr(dict(defaults)), options])
        rows = list(_read_rows(program, data, defaults, about))
        self.statuses: Counter[str] = Counter()
        done = self._read_done(rows)
        self._left = [row for row in rows if row.number not in done]
        self.n_rows = len(rows)
        self.n_done = len(done)

    @property
    def n_left(self) -> int:
        """Rows still to be run."""
        return len(self._left)

    def run(
        self,
        model: LanguageModel | None,
        *,
        decoder: str | None = None,
        seed: int | None = None,
        batch_size: int = 32,
        healing: str = "space",
    ) -> Iterator[int]:
        """Run the rows that are left; yield how many were written, whenever some were.

        Raises:
            RunError: the decoder call is wrong.
            ModelError: the model cannot go on; what was written stays.
        """
        if not self._left or model is None:
            self._open().close()  # an empty data file has an empty result file
            return
        seed = 0 if seed is None else seed  # a run that is resumed must draw the same samples
        with self._open() as file:
            n_written = 0
            how = {"decoder": decoder, "seed": seed, "healing": healing}
            for row, result in self._results(model, how, max(32, batch_size)):
                self.statuses[result["status"]] += 1
                line = {"row": row.number, "digest": row.digest, **result}
                file.write(json.dumps(line, allow_nan=False) + "\n")
                n_written += 1
                if n_written == batch_size or row is self._left[-1]:
                    file.flush()
                    os.fsync(file.fileno())
                    yield n_written
                    n_written = 0

    def _results(
        self, model: LanguageModel, how: dict[str, Any], max_rows: int
    ) -> Iterator[tuple[_Row, dict[str, Any]]]:
        """Yield each row with its best result, in order; all good rows are one run."""
        good = [row for row in self._left if row.error is None]
        results = start_run(
            self._program,
            [row.arguments for row in good],
            model=model,
            max_rows=max_rows,
            **how,
            indices=[row.number for row in good],
        ).by_input()
        for row in self._left:
            if row.error is not None:
                yield row, {"status": "error", "error": row.error.render()}
                continue
            best, *others = next(results)
            line = best.to_json()
            if others:
                line["others"] = [other.to_json() for other in others]
            yield row, line

    def _open(self) -> Any:
        try:
            return self._output.open("a", encoding="utf-8")
        except OSError as error:
            raise QueryError(
                "Q407", f"the output file '{self._output}' cannot be written: {error.strerror}"
            ) from error

    def _read_done(self, rows: list[_Row]) -> set[int]:
        """Return the numbers of rows that have a result.

        A last line that was never finished is cut off, once all before it, and what
        there is of it, are known to be results of this run: no other file is touched.
        """
        if not self._output.exists():
            return set()
        digests = {row.number: row.digest for row in rows}
        done: set[int] = set()
        try:
            content = self._output.read_bytes()
        except OSError as error:
            raise QueryError(
                "Q407", f"the output file '{self._output}' cannot be read: {error.strerror}"
            ) from error
        whole = content.rfind(b"\n") + 1
        for line_number, line in enumerate(content[:whole].splitlines(), start=1):
            entry = _parse_result(line)
            if entry is None or digests.get(entry[0]) != entry[1]:
                raise self._foreign(line_number)
            done.add(entry[0])
            self.statuses[entry[2]] += 1
        tail = content[whole:]
        if tail:
            if tail[: len(_LINE_START)] != _LINE_START[: len(tail)]:
                raise self._foreign(len(done) + 1)
            self._cut_off(whole)
        return done

    def _cut_off(self, size: int) -> None:
        try:
            with self._output.open("r+b") as file:
                file.truncate(size)
        except OSError as error:
            raise QueryError(
                "Q407", f"the output file '{self._output}' cannot be written: {error.strerror}"
            ) from error

    def _foreign(self, line_number: int) -> QueryError:
        return QueryError(
            "Q407",
            f"line {line_number} of '{self._output}' is no result of this query on this data",
            help="name another output file, or delete this one",
        )


def _parse_result(line: bytes) -> tuple[int, str, str] | None:
    """Return number, digest and status of a result line; None if it is none."""
    try:
        entry = json.loads(line)
        found = entry["row"], entry["digest"], entry["status"]
    except (ValueError, KeyError, TypeError):
        return None
    number, digest, status = found
    is_result = isinstance(number, int) and isinstance(digest, str) and isinstance(status, str)
    return (number, digest, status) if is_result else None


def _read_rows(
    program: Program, data: Path, defaults: Mapping[str, Any], about: str
) -> Iterator[_Row]:
    read = _read_csv if data.suffix.lower() == ".csv" else _read_json_lines
    try:
        for number, (raw, values, error) in enumerate(read(program, data)):
            text = f"{about}\n{raw.strip()}".encode(errors="surrogatepass")
            digest = hashlib.sha256(text).hexdigest()[:16]
            yield _Row(number, digest, {**defaults, **values}, error)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QueryError("Q406", f"the data file '{data}' cannot be read: {reason}") from error


_Parsed = tuple[str, Mapping[str, Any], LmqlLikeError | None]


def _read_json_lines(program: Program, data: Path) -> Iterator[_Parsed]:
    del program  # JSON has types of its own
    with data.open(encoding="utf-8-sig") as file:
        for line_number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                problem = f"line {line_number} of '{data}' is not JSON: {error}"
                yield line, {}, QueryError("Q406", problem)
                continue
            if isinstance(values, dict):
                yield line, values, None
            else:
                problem = f"line {line_number} of '{data}' is no JSON object"
                yield line, {}, QueryError("Q406", problem)


def _read_csv(program: Program, data: Path) -> Iterator[_Parsed]:
    known = {parameter.name: parameter for parameter in program.parameters}
    with data.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval=None)
        names = list(reader.fieldnames or ())
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise QueryError("Q406", f"two columns of '{data}' are named '{twice}'")
        for record in reader:
            raw = json.dumps(record, ensure_ascii=False)
            try:
                values = {
                    name: parse_argument(known[name], text) if name in known else text
                    for name, text in record.items()
                    if text is not None
                }
            except LmqlLikeError as error:
                yield raw, {}, error
                continue
            yield raw, values, None

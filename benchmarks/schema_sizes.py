"""How long do large, deep and hostile schemas take until the first mask?

    python benchmarks/schema_sizes.py TOKENIZER_FOLDER

Prints a table: the size of the schema, milliseconds of processor time until the rules are read,
until the automaton is made, and until the first mask is there, and what came of it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile_schemas import REFUSED, SCHEMAS, megabyte, pydantic_models

from benchmarks.mask_engine import Engine
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.json_schema import read_json_schema


def _cases() -> dict[str, Any]:
    cases = {name: schema for name, (schema, _, _) in SCHEMAS.items()}
    cases["300 pydantic models"] = pydantic_models(300)
    cases["a megabyte, all in use"] = json.dumps(megabyte(all_used=True))
    return {**cases, **REFUSED}


def _measured(schema: Any, vocabulary: Vocabulary) -> tuple[list[float], str]:
    row = np.zeros(vocabulary.n_words, np.int32)
    times = [time.process_time()]
    try:
        rules = read_json_schema(schema)
        times.append(time.process_time())
        masker = TokenMasker(compile_formula(rules.formula), vocabulary)
        times.append(time.process_time())
        start = masker.start()
        if start is not None:
            masker.fill_bitmask(start, row)
        outcome = f"{len(rules.rules.rules)} rules"
    except LmqlLikeError as error:
        outcome = error.code
    times.append(time.process_time())
    return [1000 * (now - times[0]) for now in times[1:]], outcome


def main(tokenizer: str) -> None:
    """Print the table for a tokenizer's vocabulary."""
    engine = Engine()
    engine.setup(tokenizer)
    print(
        "| schema | kB | read, ms | automaton, ms | first mask, ms | |\n|---|---|---|---|---|---|"
    )
    for name, schema in _cases().items():
        text = schema if isinstance(schema, str) else json.dumps(schema)
        times, outcome = _measured(text, engine.vocabulary)
        shown = [f"{ms:.0f}" for ms in times[:-1]] + ["", ""]
        print(
            f"| {name} | {len(text) / 1000:.0f} | {shown[0]} | {shown[1]} | {times[-1]:.0f} "
            f"| {outcome} |"
        )


if __name__ == "__main__":
    main(sys.argv[1])

"""How long does a mask of a regular expression take, beside other engines?

    python benchmarks/masks_regex.py [--bench DIR] [--tokenizers DIR]

Runs a harness that gives every engine the same cases in the same run, on one pinned core,
and prints one Markdown table per vocabulary: times of every single mask, nothing skipped.
The harness (`maskbench.py` with its `cases/`) and the tokenizer folders are not part of
this repository; the two options, or the environment, say where they are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = ("llguidance", "xgrammar", "outlines_core")
OURS = "benchmarks.mask_engine:Engine"


def main() -> None:
    """Run the harness for each vocabulary and print the tables."""
    shared = ROOT.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path, default=shared / "bench")
    parser.add_argument("--tokenizers", type=Path, default=shared / "tokenizers")
    parser.add_argument("--vocabularies", default="gpt2,qwen")
    options = parser.parse_args()
    for vocabulary in options.vocabularies.split(","):
        summary = measure(options.bench, options.tokenizers / vocabulary)
        print(f"\n### {vocabulary}\n")
        print_table(summary["engines"])


def measure(bench: Path, tokenizer: Path) -> dict[str, Any]:
    """Return the harness's summary of all engines over the cases that are patterns."""
    cases = (bench / "cases" / "grammars.jsonl").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        patterns, summary = Path(folder, "cases.jsonl"), Path(folder, "summary.json")
        chosen = [line for line in cases if json.loads(line)["kind"] == "regex"]
        patterns.write_text("\n".join(chosen) + "\n", encoding="utf-8")
        command = [sys.executable, str(bench / "maskbench.py"), "--schemas", str(patterns)]
        command += ["--tokenizer", str(tokenizer), "--engines", ",".join(PEERS)]
        command += ["--engine", OURS, "--summary", str(summary)]
        command += ["--json", str(Path(folder, "all.json.gz"))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        result: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        return result


def print_table(engines: dict[str, Any]) -> None:
    """Print one row per engine; ratios are to llguidance in the same run."""
    print(
        "| engine | right verdicts | first mask ms p50 / max | mask us p50 / mean / p99 "
        "| mean mask, ratio |\n|---|---|---|---|---|"
    )
    base = engines["llguidance"]["mask_us"]["mean"]
    for name, row in engines.items():
        right = row["valid_ok"] + row["invalid_ok"]
        total = row["valid_total"] + row["invalid_total"]
        first, mask = row["ttfm_ms"], row["mask_us"]
        print(
            f"| {name} | {right} of {total} | {first['p50']:.2f} / {first['max']:.1f} "
            f"| {mask['p50']:.2f} / {mask['mean']:.1f} / {mask['p99']:.0f} "
            f"| {mask['mean'] / base:.2f} |"
        )


if __name__ == "__main__":
    main()

"""How long until the first query is answered, on a new machine and on a known one?

    python benchmarks/cold_start.py [--repeat 5]

Three figures, each of whole processes: `--help`; the first `run` ever, with an empty
folder of compiled kernels; and later runs, which load the kernels from that folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = ["run", str(ROOT / "examples" / "capital.lmql"), "--arg", "country=France"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        helps = [seconds(["--help"], environment) for _ in range(repeat)]
        first = seconds(RUN, environment)
        warm = [seconds(RUN, environment) for _ in range(repeat)]
        import_torch = [seconds_of([sys.executable, "-c", "import torch"]) for _ in range(3)]
    print("| what | seconds, median | worst |\n|---|---|---|")
    print(f"| `lmql-like --help` | {statistics.median(helps):.2f} | {max(helps):.2f} |")
    print(f"| `run`, the very first (compiles all kernels) | {first:.1f} | {first:.1f} |")
    print(f"| `run`, later | {statistics.median(warm):.2f} | {max(warm):.2f} |")
    torch = statistics.median(import_torch)
    print(f"| of that, `import torch` alone | {torch:.2f} | {max(import_torch):.2f} |")


def seconds(arguments: list[str], environment: dict[str, str]) -> float:
    """Return the wall-clock seconds of one call of the command."""
    return seconds_of([sys.executable, "-m", "lmql_like", *arguments], environment)


def seconds_of(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Return the wall-clock seconds of one process; a failure is an error."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

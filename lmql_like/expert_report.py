"""What `run` prints of a mixture's experts: their buffer, their gate, their load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["expert_lines"]

_SHOWN = 4  # experts of a layer


def expert_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that show `Usage.experts`."""
    buffer = report.get("buffer")
    if buffer is not None:
        asked = buffer["hits"] + buffer["misses"]
        yield (
            f"experts: {buffer['hits']} of {asked} were on the device "
            f"({buffer['prefetch_hits']} prefetched), {buffer['misses']} loaded "
            f"({buffer['bypassed']} for prompts), {buffer['prefetches']} prefetched; "
            f"{_size(buffer['moved'])} moved, peak {_size(buffer['peak'])} "
            f"of {_size(buffer['budget'])}"
        )
    gate = report.get("adaptive_gate")
    if gate is not None:
        yield f"adaptive gate: {gate['saved']} of {gate['asked']} uses of an expert saved"
    routing = report.get("routing")
    if routing is not None:
        yield (
            f"routing: {routing['generated_tokens']} tokens generated, {routing['read_tokens']} "
            f"read, {routing['experts_per_token']:g} experts for each"
        )
        for layer in routing["layers"]:
            ranked = sorted(enumerate(layer["load"]), key=lambda item: -item[1])[:_SHOWN]
            load = ", ".join(f"{number}: {share:.0%}" for number, share in ranked)
            dropped = f", {layer['dropped']} dropped" if layer["dropped"] else ""
            yield (
                f"  {layer['layer']}: load {load}; entropy of load {layer['load_entropy']:.2f}, "
                f"of router {layer['router_entropy']:.2f}{dropped}"
            )


def _size(n_bytes: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} bytes"

"""What `doctor` finds out about a model from its configuration, and prints.

Weights are neither needed nor read: the law of states depends on the architecture's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lmql_like.runtime.transformers_doctor import Examination

__all__ = ["DoctorReport", "make_report", "print_report"]


@dataclass(frozen=True)
class DoctorReport:
    """A model's architecture, what is known of it and what was found.

    Attributes:
        name: of the model.
        kind: its architecture.
        known_mode: the mode of the table; None for an architecture it does not have.
        examination: what a clone did; None where no clone can be made.
        problem: why there is no clone.
    """

    name: str
    kind: str
    known_mode: str | None
    examination: Examination | None
    problem: str = ""

    @property
    def mode(self) -> str:
        """The mode in which the model is run.

        Raises:
            ModelError: M115, the architecture is unknown and nothing is exact for it.
        """
        if self.known_mode is not None:
            return self.known_mode
        return "recompute" if self.examination is None else self.examination.mode

    @property
    def agrees(self) -> bool:
        """Whether the mode that is used is as exact as the examination asks for."""
        if self.examination is None:
            return True
        found = next((f for f in self.examination.findings if f.mode == self.mode), None)
        return found is None or found.holds


def make_report(name_or_path: str | None, *, trust_remote_code: bool = False) -> DoctorReport:
    """Examine the architecture of a model.

    Args:
        name_or_path: a folder, or a name on the Hugging Face hub; None for the embedded
            model.
        trust_remote_code: run the code that comes with the model.

    Raises:
        ModelError: as `load_model`, where the configuration cannot be read.
    """
    from lmql_like.runtime.transformers_doctor import CloneError, examine, known_mode
    from lmql_like.runtime.transformers_loading import build_from, read_config

    name, config = read_config(name_or_path, trust_remote_code=trust_remote_code)
    kind = config.model_type
    known = known_mode(config, trust_remote_code=trust_remote_code)
    if config.is_encoder_decoder:
        return DoctorReport(name, kind, known, None, "encoder-decoders are not cloned")
    try:
        found = examine(config, lambda small: build_from(small, trust_remote_code))
    except CloneError as error:
        return DoctorReport(name, kind, known, None, str(error))
    return DoctorReport(name, kind, known, found)


def print_report(report: DoctorReport) -> None:
    """Print a report: a line for each mode that was tried, then the mode that is used."""
    from lmql_like.runtime.transformers_modes import MODES

    known = "known" if report.known_mode else "not in the table"
    click.echo(f"model         {report.name}")
    click.echo(f"architecture  {report.kind} ({known})")
    if report.examination is None:
        click.echo(f"not examined  {report.problem}")
    else:
        click.echo(f"examined      a clone of {report.examination.n_weights:,} random weights")
        for finding in report.examination.findings:
            if finding.error:
                verdict = f"cannot be used: {finding.error}"
            else:
                verdict = "exact" if finding.holds else f"wrong by {finding.difference:.1g}"
            click.echo(f"  {finding.mode:<16}  {verdict}")
    click.echo(f"mode          {report.mode}: {MODES[report.mode].meaning}")
    if not report.agrees:
        click.echo("The clone contradicts the table: this configuration is unusual.", err=True)

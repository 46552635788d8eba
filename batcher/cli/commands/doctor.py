"""`batcher doctor`: check settings, key, endpoint and store, and suggest fixes."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import setting_options
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.messages import plain_words, words
from batcher.cli.terminal.output import note, print_json, say
from batcher.config import Flags, resolve_job
from batcher.config.table import TIMEOUT

if TYPE_CHECKING:
    from batcher.services.diagnostics.doctor_report import Check, Diagnosis, Part

_EPILOG = """\b
Examples:
  batcher doctor
  batcher doctor --base-url http://127.0.0.1:8000/v1 --model llama3
  batcher doctor --save working.md      write a report, for example while everything works
"""
_VERDICTS = {True: "ok", False: "FAILED", None: "skipped"}


@click.command(epilog=_EPILOG)
@click.option("--model", metavar="MODEL", help="Model to test.  [default: one that the endpoint lists]")
@click.option("--save", metavar="FILE", help="Write a dated report of the configuration and of each check.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@setting_options
@shared
@click.pass_obj
def doctor(session: Session, *, model: str | None, save: str | None, as_json: bool, flags: Flags) -> int:
    """Check settings, key, endpoint and store, and suggest fixes.

    Checks the settings, the key, the network, the models, one tiny request, one request that must be refused, the
    limits and the store. The tiny request asks for one token and is billed like any other. Exits with 1 if a check
    fails.
    """
    from batcher.app import make_parts  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.diagnostics.doctor import DoctorOptions, diagnose  # noqa: PLC0415
    from batcher.services.diagnostics.doctor_note import check_note, save_note  # noqa: PLC0415

    if save is not None:
        check_note(Path(save))
    parts = make_parts()
    question = DoctorOptions(
        resolve=lambda: resolve_job(flags, remembered=None, environ=os.environ, file=session.file()),
        store=lambda: session.db,
        model=model,
        timeout=flags.get(TIMEOUT),
    )
    diagnosis, findings = asyncio.run(
        diagnose(question, environ=os.environ, clock=parts.clock, simulator=parts.simulator)
    )
    print_json(diagnosis) if as_json else _say(diagnosis)
    if save is not None:
        save_note(Path(save), diagnosis, findings, plain_words)
        if not session.quiet:
            note(f"report written to {save}")
    return 0 if diagnosis.ok else FAILED


def _say(diagnosis: "Diagnosis") -> None:
    for check in diagnosis.checks:
        _say_check(check)
    failed = [check.name for check in diagnosis.checks if check.ok is False]
    say()
    if failed:
        say(f"failed: {', '.join(failed)}")
    else:
        say("no check failed; start with `batcher run FILE`")


def _say_check(check: "Check") -> None:
    if not check.parts:
        _say_line(check, check.name)
        return
    say(f"{check.name:<13}{_VERDICTS[check.ok]:<9}{check.seconds * 1000:>6.0f} ms")
    for part in check.parts:
        _say_line(part, f"  {part.name}")


def _say_line(part: "Part", name: str) -> None:
    say(f"{name:<13}{_VERDICTS[part.ok]:<9}{part.seconds * 1000:>6.0f} ms  {words(part.evidence)}")
    if part.fix is not None:
        say(f"{'':<13}→ {words(part.fix)}")

"""`batcher check`: check a job file without storing or sending it."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from batcher.cli.params.job_options import PARSING_OPTIONS
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.errors import WRONG_USE, bad_line_texts
from batcher.cli.terminal.output import duration, number, print_json, row_count, say, table
from batcher.config import Flags, resolve_job
from batcher.domain.requests import BadLines
from batcher.policy.input.deduplication import advice

if TYPE_CHECKING:
    from batcher.services.jobs.check import Checked, Workload

_EPILOG = """\b
Examples:
  batcher check job.jsonl
  batcher check job.jsonl --rpm 500 --tpm 200k     also estimate the time
  batcher check bodies.jsonl --url /v1/embeddings --json
"""


def _all_of(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:  # noqa: ANN401 - a command
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command(epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--rpm", multiple=True, metavar="N", help="Requests per minute; MODEL=N for one model.")
@click.option("--tpm", multiple=True, metavar="N", help="Tokens per minute; MODEL=N for one model.")
@click.option(
    "--base-url", metavar="URL", help="Base URL of the endpoint: OpenAI's bodies are checked most strictly."
)
@_all_of(PARSING_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every invalid line.")
@shared
@click.pass_obj
def check(
    session: Session,
    *,
    file: str,
    rpm: tuple[str, ...],
    tpm: tuple[str, ...],
    base_url: str | None,
    url: str | None,
    model: str | None,
    no_body_checks: bool,
    as_json: bool,
) -> int:
    """Check a job file without storing or sending it.

    Reports invalid lines, repeated rows, and the tokens of each model. With limits, it also reports the limit that
    binds and the time that the job will take. Exits with 2 if a line is invalid.
    """
    from batcher.cli.flows.limit_notes import say_limits_without_model  # noqa: PLC0415
    from batcher.cli.flows.parsing import parsing_options  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.files.source import open_source  # noqa: PLC0415
    from batcher.services.jobs.check import check_file  # noqa: PLC0415

    flags = Flags(rpm=rpm, tpm=tpm, base_url=base_url)
    settings = resolve_job(flags, remembered=None, environ=os.environ, file=session.file())
    options = parsing_options(url, model, no_body_checks=no_body_checks, as_json=as_json)
    with open_source(file) as source:
        checked, groups = check_file(source, settings, options)
    print_json(checked) if as_json else _say(checked, groups)
    say_limits_without_model(sorted({load.model for load in checked.models}), flags)
    return WRONG_USE if checked.invalid else 0


def _say(checked: "Checked", groups: Sequence[BadLines]) -> None:
    for text in bad_line_texts(checked.file, groups, checked.invalid):
        say(text)
    lines = "1 line" if checked.lines == 1 else f"{number(checked.lines)} lines"
    say(f"{checked.file}: {lines}, {number(checked.valid)} valid, {number(checked.invalid)} invalid")
    if checked.models:
        say()
        head = ["model", "url", "rows", "tokens in", "tokens out (max)", "limit", "time"]
        table([head, *(_row(load) for load in checked.models)], right=frozenset({2, 3, 4, 6}))
    _say_repeats(checked)
    _say_time(checked)
    for text in checked.notes:
        say(f"note: {text}")
    for text in (checked.hint or "").splitlines():
        say(f"→ {text}")


def _row(load: "Workload") -> list[str]:
    return [
        load.model or "(no model)",
        load.url,
        number(load.requests),
        number(load.input_tokens),
        number(load.output_tokens),
        load.binding or "not given",
        "-" if load.seconds is None else duration(load.seconds),
    ]


def _say_repeats(checked: "Checked") -> None:
    if checked.repeats.rows:
        say()
        rows = checked.repeats.rows
        repeat, share = ("repeats", "shares") if rows == 1 else ("repeat", "share")
        say(f"{row_count(rows)} {repeat} the body of another row and {share} its answer without being sent")
    if checked.repeats.random:
        say(f"note: {advice(checked.repeats.random)}")


def _say_time(checked: "Checked") -> None:
    if checked.seconds is None:
        return
    say()
    slowest = next(load for load in checked.models if load.seconds == checked.seconds)
    limit = f"{slowest.binding} of {slowest.model or 'this model'}"
    say(f"time: at least {duration(checked.seconds)}, limited by {limit}")
    if any(load.seconds is None for load in checked.models):
        say("  models without a given limit are not counted")

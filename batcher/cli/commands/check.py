"""`batcher check`: check a job file without storing or sending it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batcher.cli.params.job_options import PARSING_OPTIONS
from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import option_of
from batcher.cli.terminal.errors import WRONG_USE, bad_line_texts
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import duration, number, print_json, row_count, say, table
from batcher.config import SIMULATED_BASE_URL, Flags, resolve_job
from batcher.config.table import BASE_URL, RPM, TPM
from batcher.domain.requests import BadLines
from batcher.policy.input.deduplication import advice

if TYPE_CHECKING:
    from batcher.services.jobs.check import Checked, MeanOutputs, Workload

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
@option_of(RPM, words=RPM.help)
@option_of(TPM, words=TPM.help)
@option_of(BASE_URL, words="Base URL of the endpoint: OpenAI's bodies are checked most strictly.")
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
        checked, groups = check_file(source, settings, options, mean_outputs=lambda: _means(session.db))
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
        kinds = {"expected" if load.unbounded else "max" for load in checked.models}
        out = f"tokens out ({kinds.pop()})" if len(kinds) == 1 else "tokens out"
        head = ["model", "url", "rows", "tokens in", out, "limit", "time"]
        table(
            [head, *(_row(load, is_mixed=out == "tokens out") for load in checked.models)],
            right=frozenset({2, 3, 4, 6}),
        )
    for load in checked.models:
        if load.unbounded:
            say(f"  {_expected(load)}")
    _say_repeats(checked)
    _say_time(checked)
    for each in checked.notes:
        say(f"note: {words(each)}")
    for text in words(checked.hint or "").splitlines():
        say(f"→ {text}")


def _means(db: str) -> "MeanOutputs":
    """Return the mean output tokens of each model's real answers in the store; only then is it opened."""
    if not Path(db).exists():
        return {}
    from batcher.services.jobs.expected_output import mean_outputs  # noqa: PLC0415 - `check` needs no database

    return mean_outputs(db, but_not=SIMULATED_BASE_URL)


def _expected(load: "Workload") -> str:
    """Say what the output tokens of rows without a stated maximum are."""
    answers = "1 answer names" if load.unbounded == 1 else f"{number(load.unbounded)} answers name"
    each = number(load.expected_each or 0)
    of_model = load.model or "this model"
    if not load.answers_seen:
        return f"{answers} no maximum, so {each} tokens each is a guess: no answer of {of_model} is stored"
    seen = "1 answer" if load.answers_seen == 1 else f"{number(load.answers_seen)} answers"
    return f"{answers} no maximum; {each} tokens each is expected, the mean of {seen} of {of_model} in this store"


def _row(load: "Workload", *, is_mixed: bool) -> list[str]:
    tokens = number(load.output_tokens)
    return [
        load.model or "(no model)",
        load.url,
        number(load.requests),
        number(load.input_tokens),
        f"{'expected' if load.unbounded else 'at most'} {tokens}" if is_mixed else tokens,
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
        say(f"note: {words(advice(checked.repeats.random))}")


def _say_time(checked: "Checked") -> None:
    if checked.seconds is None:
        return
    say()
    slowest = next(load for load in checked.models if load.seconds == checked.seconds)
    limit = f"{slowest.binding} of {slowest.model or 'this model'}"
    same = [load for load in checked.models if load.model == slowest.model]
    about = "about" if slowest.binding == "tpm" and any(load.unbounded for load in same) else "at least"
    say(f"time: {about} {duration(checked.seconds)}, limited by {limit}")
    if any(load.seconds is None for load in checked.models):
        say("  models without a given limit are not counted")

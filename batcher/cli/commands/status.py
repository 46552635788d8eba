"""`batcher status`: show all jobs, or one job in detail."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import display_path, duration, number, print_json, say, table
from batcher.config import SIMULATED_BASE_URL
from batcher.domain.states import ShownState

if TYPE_CHECKING:
    from batcher.services.monitor.status import JobStatus, LaneStatus

_EPILOG = """\b
Examples:
  batcher status                  all jobs
  batcher status 3                one job in detail
  batcher status gsm8k --json     for a script
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def status(session: Session, *, named: str | None, as_json: bool) -> None:
    """Show all jobs, or one job in detail.

    JOB is a number or a unique name. It is safe while a job is running.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415
    from batcher.services.monitor.status import job_status, job_statuses  # noqa: PLC0415

    now = SystemClock().now()
    if named is not None:
        with manage.opened_for(session.db, named) as (database, job):
            shown = job_status(database, job, now=now)
        print_json(shown) if as_json else _say_one(shown)
        return
    with manage.opened_if_present(session.db_to_read) as store:
        found = [] if store is None else job_statuses(store, manage.all_jobs(store), now=now)
    print_json({"data": found}) if as_json else _say_all(found, session.db)


def _say_all(found: "list[JobStatus]", db: str) -> None:
    if not found:
        say(f"there are no jobs in {display_path(db)} yet; `batcher run FILE` creates one")
        return
    head = ["job", "name", "state", "answered", "dead letters", "cached", "endpoint", "key", "when"]
    table([head, *(_row(each) for each in found)], right=frozenset({0, 3, 4, 5}))


def _row(status: "JobStatus") -> list[str]:
    counts = status.counts
    return [
        str(status.job),
        status.name,
        status.state,
        f"{number(counts['completed'])}/{number(counts['total'])}",
        number(counts["dead_lettered"]),
        number(status.cached),
        *_endpoint_and_key(status),
        _when(status),
    ]


def _endpoint_and_key(status: "JobStatus") -> tuple[str, str]:
    """Return the endpoint and the variable of its key; the simulated provider has no address and needs no key."""
    if status.endpoint == SIMULATED_BASE_URL:
        return "(simulated)", "-"
    return status.endpoint, status.key_env


def _when(status: "JobStatus") -> str:
    if status.finished_at is not None:
        return f"finished {_to_seconds(status.finished_at)}"
    if status.started_at is not None:
        return f"started {_to_seconds(status.started_at)}"
    return f"stored {_to_seconds(status.created_at)}"


def _to_seconds(timestamp: str) -> str:
    """Drop the fraction of a second."""
    return timestamp.partition(".")[0].removesuffix("Z") + "Z"


def _say_one(status: "JobStatus") -> None:
    say(f"job {status.job} ({status.name}) {status.state}")
    table([["", name, value] for name, value in _facts(status)])
    if status.lanes:
        say()
        head = ["lane", "rpm", "tpm", "limits", "binding", "used", "in flight"]
        table([head, *(_lane_row(lane) for lane in status.lanes)], right=frozenset({1, 2, 5, 6}))
    for lane in status.lanes:
        _say_lane_waits(lane)
    if status.paused is not None:
        say()
        say(f"paused ({status.paused['reason']}) since {_to_seconds(status.paused['since'])}")
        say(f"  {words(status.paused['message'])}")
        say(f"  → {words(status.paused['fix'])}")
    say()
    for line in _next(status):
        say(line)


def _facts(status: "JobStatus") -> list[tuple[str, str]]:
    from batcher.cli.flows.summary import row_counts  # noqa: PLC0415 - heavy modules only where they are used

    tokens, (endpoint, key) = status.tokens, _endpoint_and_key(status)
    facts = [
        ("rows", f"{number(status.counts['total'])}: {', '.join(row_counts(status))}"),
        ("requests", f"{number(status.attempts)} sent, {number(status.rate_limited)} refused by rate limits"),
        ("tokens", f"{number(tokens.input)} in, {number(tokens.output)} out"),
        ("endpoint", endpoint),
        ("key", key if key == "-" else f"in {key}"),
        ("file", status.source),
        ("stored", _to_seconds(status.created_at)),
    ]
    if status.started_at is not None:
        facts.append(("started", _to_seconds(status.started_at)))
    if status.finished_at is not None:
        facts.append(("finished", _to_seconds(status.finished_at)))
    facts.append(("time spent", duration(status.elapsed_seconds)))
    if status.eta_seconds is not None:
        facts.append(("time left", f"about {duration(status.eta_seconds)}"))
    if status.runner_pid is not None:
        facts.append(("runner", f"pid {status.runner_pid}"))
    if status.output is not None:
        facts.append(("results", display_path(status.output)))
    if status.errors is not None:
        facts.append(("errors", display_path(status.errors)))
    return facts


def _lane_row(lane: "LaneStatus") -> list[str]:
    return [
        lane.model or "(no model)",
        "-" if lane.rpm is None else number(lane.rpm),
        "-" if lane.tpm is None else number(lane.tpm),
        lane.source or "unknown",
        lane.binding or "-",
        "-" if lane.utilization is None else f"{lane.utilization:.0%}",
        number(lane.in_flight),
    ]


def _say_lane_waits(lane: "LaneStatus") -> None:
    if lane.cooling_until is not None:
        say(f"{lane.model}: cooling down until {lane.cooling_until}")
    if lane.paused is not None:
        say(f"{lane.model}: paused ({lane.paused['reason']}): {words(lane.paused['message'])}")


def _next(status: "JobStatus") -> list[str]:
    """Suggest the next command."""
    dead = status.counts["dead_lettered"]
    look = [f"next: batcher dlq summary --job {status.job}"] if dead else []
    match status.state:
        case ShownState.PENDING | ShownState.INTERRUPTED | ShownState.PAUSED:
            return [f"next: batcher resume {status.job}"]
        case ShownState.RUNNING:
            return [f"next: batcher status {status.job}   (so far: batcher results {status.job} --partial -o -)"]
        case ShownState.COMPLETED | ShownState.CANCELLED:
            return look or [f"next: batcher results {status.job}"]

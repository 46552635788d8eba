"""`batcher status`: the jobs, or one job whole."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.output import duration, number, print_json, say, shown_path, table
from batcher.domain.states import ShownState

if TYPE_CHECKING:
    from batcher.services.runs.status import JobStatus, LaneStatus

_EPILOG = """\b
Examples:
  batcher status                  every job
  batcher status 3                one job whole
  batcher status gsm8k --json     for a script
"""


@click.command(epilog=_EPILOG)
@click.argument("named", metavar="[JOB]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def status(session: Session, *, named: str | None, as_json: bool) -> None:
    """Show the jobs, or one job whole.

    JOB is a number or a unique name. It may be asked while a runner works.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import manage  # noqa: PLC0415
    from batcher.services.runs.status import job_status  # noqa: PLC0415

    now = SystemClock().now()
    if named is not None:
        with manage.opened_for(session.db, named) as (database, job):
            whole = job_status(database, job, now=now)
        print_json(whole) if as_json else _say_whole(whole)
        return
    with manage.opened_if_present(session.db_to_look) as store:
        found = [] if store is None else [job_status(store, job, now=now) for job in manage.all_jobs(store)]
    print_json({"data": found}) if as_json else _say_all(found, session.db)


def _say_all(found: "list[JobStatus]", db: str) -> None:
    if not found:
        say(f"there are no jobs yet in {shown_path(db)}; `batcher run FILE` makes one")
        return
    head = ["job", "name", "state", "done", "failed", "cached", "when"]
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
        _when(status),
    ]


def _when(status: "JobStatus") -> str:
    if status.finished_at is not None:
        return f"finished {_to_seconds(status.finished_at)}"
    if status.started_at is not None:
        return f"started {_to_seconds(status.started_at)}"
    return f"stored {_to_seconds(status.created_at)}"


def _to_seconds(timestamp: str) -> str:
    """Without the fraction."""
    return timestamp.partition(".")[0].removesuffix("Z") + "Z"


def _say_whole(status: "JobStatus") -> None:
    say(f"job {status.job} ({status.name}) {status.state}")
    table([["", name, value] for name, value in _facts(status)])
    if status.lanes:
        say()
        head = ["lane", "rpm", "tpm", "limits", "binding", "used", "in flight"]
        table([head, *(_lane_row(lane) for lane in status.lanes)], right=frozenset({1, 2, 5, 6}))
    for lane in status.lanes:
        _say_lane_trouble(lane)
    if status.paused is not None:
        say()
        say(f"paused ({status.paused['reason']}) since {_to_seconds(status.paused['since'])}")
        say(f"  {status.paused['message']}")
        say(f"  → {status.paused['fix']}")
    say()
    for line in _next(status):
        say(line)


def _facts(status: "JobStatus") -> list[tuple[str, str]]:
    counts, tokens = status.counts, status.tokens
    facts = [
        ("rows", f"{number(counts['total'])}: {_stand(status)}"),
        ("requests", f"{number(status.attempts)} sent, {number(status.rate_limited)} refused by rate limits"),
        ("tokens", f"{number(tokens.input)} in, {number(tokens.output)} out"),
        ("file", status.source),
        ("stored", _to_seconds(status.created_at)),
    ]
    if status.started_at is not None:
        facts.append(("started", _to_seconds(status.started_at)))
    if status.finished_at is not None:
        facts.append(("finished", _to_seconds(status.finished_at)))
    facts.append(("worked on", duration(status.elapsed_seconds)))
    if status.eta_seconds is not None:
        facts.append(("left", f"about {duration(status.eta_seconds)}"))
    if status.runner_pid is not None:
        facts.append(("runner", f"pid {status.runner_pid}"))
    if status.output is not None:
        facts.append(("results", shown_path(status.output)))
    if status.errors is not None:
        facts.append(("errors", shown_path(status.errors)))
    return facts


def _stand(status: "JobStatus") -> str:
    counts = status.counts
    cached = f" ({number(status.cached)} without a request of their own)" if status.cached else ""
    parts = [f"{number(counts['completed'])} answered{cached}"]
    parts += [
        f"{number(count)} {what}"
        for count, what in (
            (status.in_flight, "in flight"),
            (counts["pending"] + counts["claimed"] - status.in_flight, "pending"),
            (counts["dead_lettered"], "dead letters"),
            (counts["cancelled"], "cancelled"),
            (status.rejected, "invalid lines skipped"),
        )
        if count
    ]
    return ", ".join(parts)


def _lane_row(lane: "LaneStatus") -> list[str]:
    return [
        lane.model or "(no model)",
        "-" if lane.rpm is None else number(lane.rpm),
        "-" if lane.tpm is None else number(lane.tpm),
        lane.source or "not known yet",
        lane.binding or "-",
        "-" if lane.utilization is None else f"{lane.utilization:.0%}",
        number(lane.in_flight),
    ]


def _say_lane_trouble(lane: "LaneStatus") -> None:
    if lane.cooling_until is not None:
        say(f"{lane.model}: told to wait, cools down until {lane.cooling_until}")
    if lane.paused is not None:
        say(f"{lane.model}: paused ({lane.paused['reason']}): {lane.paused['message']}")


def _next(status: "JobStatus") -> list[str]:
    """The commands that make sense now."""
    dead = status.counts["dead_lettered"]
    look = [f"next: batcher dlq summary --job {status.job}"] if dead else []
    match status.state:
        case ShownState.PENDING | ShownState.INTERRUPTED | ShownState.PAUSED:
            return [f"next: batcher resume {status.job}"]
        case ShownState.RUNNING:
            return [f"next: batcher status {status.job}   (so far: batcher results {status.job} --partial -o -)"]
        case ShownState.COMPLETED | ShownState.CANCELLED:
            return look or [f"next: batcher results {status.job}"]

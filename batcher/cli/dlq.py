"""`batcher dlq`: look into the dead-letter queue, and try again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from batcher.cli.output import number, print_json, say, table
from batcher.cli.session import Session, shared
from batcher.domain.errors import UsageError
from batcher.domain.ids import RequestId
from batcher.domain.states import FailureKind
from batcher.policy.sanitize import one_line

if TYPE_CHECKING:
    from batcher.services.dead_letters import DeadLetter, Listed, Retried, Sending, ShownLetter

F = TypeVar("F", bound=Callable[..., Any])

_GROUP_EPILOG = """\b
Examples:
  batcher dlq list --job 3
  batcher dlq show 17
  batcher dlq retry --code timeout
"""
_LIST_EPILOG = """\b
Examples:
  batcher dlq list
  batcher dlq list --job gsm8k --code context_length_exceeded --json
"""
_RETRY_EPILOG = """\b
Examples:
  batcher dlq retry 17 18
  batcher dlq retry --job 3 --status 502
  batcher dlq retry --all
"""

#: SQLite's largest integer; no request has a larger number.
_REQUEST = click.IntRange(1, 2**63 - 1)
_ID_WIDTH, _MESSAGE_WIDTH = 32, 60
#: Characters of a body that are shown.
_BODY_SHOWN = 20_000
#: Causes that a list tells the way out of.
_ADVISED = 5


def _filters(command: F) -> F:
    """`--job --kind --code --status`: which dead letters are meant."""
    wrapped: Any = command
    for option in (
        click.option("--status", type=click.IntRange(100, 599), metavar="N", help="Of this last HTTP status."),
        click.option("--code", metavar="CODE", help="Of this error code."),
        click.option("--kind", type=click.Choice([kind.value for kind in FailureKind]), help="Of this kind."),
        click.option("--job", metavar="JOB", help="Of this job: a number or a unique name."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators keep what they are given


@click.group(epilog=_GROUP_EPILOG)
@shared
def dlq() -> None:
    """Look into the dead-letter queue, and try again.

    A dead letter is a row that failed for good. It is kept with its whole history.
    """


@dlq.command("list", epilog=_LIST_EPILOG)
@_filters
@click.option(
    "--limit", type=click.IntRange(1, 2**31), default=100, show_default=True, metavar="N", help="At most."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def list_(
    session: Session,
    *,
    job: str | None,
    kind: str | None,
    code: str | None,
    status: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List dead letters, each with its cause."""
    from batcher.services import dead_letters  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import opened_to_look  # noqa: PLC0415

    with opened_to_look(session.db, job=job) as database:
        listed = dead_letters.Listed(data=[], total=0)
        if database is not None:
            filters = dead_letters.choose(database, job=job, kind=kind, code=code, status=status)
            listed = dead_letters.list_letters(database, filters, limit=limit)
    print_json(listed) if as_json else _say_list(listed)


@dlq.command(epilog="\b\nExample:\n  batcher dlq show 17")
@click.argument("request", type=_REQUEST)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; it has the replies.")
@shared
@click.pass_obj
def show(session: Session, *, request: int, as_json: bool) -> None:
    """Show one request: its body, every attempt, what to do.

    REQUEST is the number that `batcher dlq list` prints.
    """
    from batcher.services import dead_letters  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import opened_to_look  # noqa: PLC0415

    with opened_to_look(session.db) as database:
        if database is None:
            raise _no_store(session.db)
        shown = dead_letters.show(database, RequestId(request))
    print_json(shown) if as_json else _say_shown(shown)


@dlq.command(epilog=_RETRY_EPILOG)
@click.argument("requests", type=_REQUEST, nargs=-1, metavar="[REQUEST]...")
@_filters
@click.option("--all", "every", is_flag=True, help="All dead letters of the store.")
@shared
@click.pass_obj
def retry(
    session: Session,
    *,
    requests: tuple[int, ...],
    job: str | None,
    kind: str | None,
    code: str | None,
    status: int | None,
    every: bool,
) -> None:
    """Put dead letters back to pending, history kept.

    REQUESTs by their number, or all that the filters mean, or --all. Each has all its attempts again.
    """
    from batcher.services import dead_letters  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs import opened_to_look  # noqa: PLC0415

    if not (every or requests or (job, kind, code, status) != (None, None, None, None)):
        raise UsageError("nothing says which dead letters are meant", hint="give REQUESTs, a filter, or --all")
    if every and requests:
        raise UsageError("--all and REQUESTs contradict each other", hint="give one of them")
    with opened_to_look(session.db, job=job) as database:
        if database is None:
            raise _no_store(session.db)
        filters = dead_letters.choose(database, job=job, kind=kind, code=code, status=status, requests=requests)
        done = dead_letters.retry(database, filters)
    _say_retried(done)


def _no_store(path: str) -> UsageError:
    return UsageError(f"there are no dead letters: there is no store at {path}", hint="name one with --db")


def _say_list(listed: "Listed") -> None:
    if not listed.total:
        say("there are no dead letters")
        return
    head = ["request", "job", "line", "custom_id", "kind", "status", "code", "sent", "message"]
    table([head, *(_row(letter) for letter in listed.data)], right=frozenset({0, 1, 2, 5, 7}))
    if listed.total > len(listed.data):
        say(f"… {number(len(listed.data))} of {number(listed.total)}; --limit N shows more")
    say()
    advised = dict.fromkeys((letter.code, letter.advice) for letter in listed.data)
    for code, text in list(advised)[:_ADVISED]:
        say(f"{code}: {text}")
    if len(advised) > _ADVISED:
        say(f"… and {len(advised) - _ADVISED} other causes; `batcher dlq show REQUEST` says what to do about one")


def _row(letter: "DeadLetter") -> list[str]:
    return [
        str(letter.request),
        str(letter.job),
        str(letter.line),
        one_line(letter.custom_id, _ID_WIDTH),
        letter.kind,
        str(letter.status or "-"),
        one_line(letter.code, _ID_WIDTH),
        str(letter.attempts),
        one_line(letter.message, _MESSAGE_WIDTH),
    ]


def _say_shown(shown: "ShownLetter") -> None:
    say(f"request {shown.request}: job {shown.job}, line {shown.line}, {shown.custom_id}")
    facts = [
        ("state", shown.state),
        ("asked", f"{shown.model or '(no model)'} at {shown.url}"),
        ("sent", f"{number(shown.attempts)} times"),
    ]
    if shown.dead_lettered_at is not None:
        facts.append(("failed", f"{shown.dead_lettered_at}: {shown.kind}, {shown.code}"))
    table([["", name, value] for name, value in facts])
    if shown.history:
        say()
        head = ["attempt", "sent", "took", "status", "kind", "code", "provider's id", "message"]
        table([head, *(_history_row(each) for each in shown.history)], right=frozenset({0, 2, 3}))
    say()
    say("body")
    _say_body(bytes(shown.body))
    if shown.advice is not None:
        say()
        say(f"→ {shown.advice}")


def _history_row(sending: "Sending") -> list[str]:
    return [
        str(sending.attempt),
        sending.time or "-",
        "-" if sending.latency_seconds is None else f"{sending.latency_seconds:.2f} s",
        str(sending.status or "-"),
        sending.kind,
        one_line(sending.code or "-", _ID_WIDTH),
        one_line(sending.provider_request_id or "-", _MESSAGE_WIDTH),
        one_line(sending.message or "", _MESSAGE_WIDTH * 3),
    ]


def _say_body(body: bytes) -> None:
    text = msgspec.json.format(body, indent=2).decode()
    for line in text[:_BODY_SHOWN].split("\n"):
        say(f"  {line}")
    if len(text) > _BODY_SHOWN:
        say(f"  … {number(len(text) - _BODY_SHOWN)} characters more; --json has them")


def _say_retried(done: "Retried") -> None:
    if not done.count:
        say("no dead letter is meant; nothing went back")
        return
    rows = "1 dead letter is" if done.count == 1 else f"{number(done.count)} dead letters are"
    say(f"{rows} pending again, with all attempts")
    if done.runner is not None:
        say(f"the runner that works the store (pid {done.runner}) takes them")
    else:
        say(f"next: batcher resume {' '.join(str(job) for job in done.jobs)}")

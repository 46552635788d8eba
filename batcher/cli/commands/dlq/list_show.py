"""`batcher dlq list` and `batcher dlq show`: list dead letters, or show one."""

from typing import TYPE_CHECKING

import click
import msgspec

from batcher.cli.commands.dlq.selection import REQUEST, LetterSelection, filter_options, no_store
from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import number, print_json, say, say_verbatim, table
from batcher.domain.ids import RequestId
from batcher.policy.privacy.sanitize import one_line

if TYPE_CHECKING:
    from batcher.services.dead_letters.inspect import AttemptEntry, DeadLetterEntry, DeadLetterList, ShownLetter

_LIST_EPILOG = """\b
Examples:
  batcher dlq list
  batcher dlq list --job gsm8k --code context_length_exceeded
  batcher dlq list --limit 1000 --json    for a script
"""

#: The store accepts no larger limit.
_LARGEST_LIMIT = 2**31

_ID_WIDTH, _MESSAGE_WIDTH = 32, 60
#: The most characters of a body that are printed.
_BODY_SHOWN = 20_000
#: The most causes for which a list prints advice.
_ADVISED = 5


@click.command("list", epilog=_LIST_EPILOG)
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Maximum number of dead letters to list.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def list_(session: Session, *, selection: LetterSelection, limit: int, as_json: bool) -> None:
    """List dead letters, each with its cause."""
    from batcher.services.dead_letters import inspect  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    with opened_if_present(session.db_to_read, job=selection.job) as database:
        listed = inspect.DeadLetterList(data=[], total=0)
        if database is not None:
            limit = min(limit, _LARGEST_LIMIT)
            listed = inspect.list_letters(database, selection.filters(database), limit=limit)
    print_json(listed) if as_json else _say_list(listed)


@click.command(epilog="\b\nExamples:\n  batcher dlq show 17\n  batcher dlq show 17 --json    with the replies")
@click.argument("request", metavar="REQUEST", type=REQUEST)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the provider's replies.")
@shared
@click.pass_obj
def show(session: Session, *, request: int, as_json: bool) -> None:
    """Show a request: its body, its attempts and what to do.

    REQUEST is the number that `batcher dlq list` prints.
    """
    from batcher.services.dead_letters import inspect  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.jobs.manage import opened_if_present  # noqa: PLC0415

    with opened_if_present(session.db_to_read) as database:
        if database is None:
            raise no_store(session.db)
        shown = inspect.show(database, RequestId(request))
    print_json(shown) if as_json else _say_shown(shown)


def _say_list(listed: "DeadLetterList") -> None:
    if not listed.total:
        say("there are no dead letters")
        return
    head = ["request", "job", "line", "custom_id", "kind", "status", "code", "sent", "message"]
    table([head, *(_row(letter) for letter in listed.data)], right=frozenset({0, 1, 2, 5, 7}))
    if listed.total > len(listed.data):
        say(f"… {number(len(listed.data))} of {number(listed.total)} listed; --limit N lists more")
    say()
    advised = dict.fromkeys((letter.code, letter.advice) for letter in listed.data)
    for code, text in list(advised)[:_ADVISED]:
        say(f"{code}: {words(text or '')}")
    if len(advised) > _ADVISED:
        others = len(advised) - _ADVISED
        causes = "1 other cause" if others == 1 else f"{others} other causes"
        say(f"… and {causes}; `batcher dlq show REQUEST` says what to do about one")


def _row(letter: "DeadLetterEntry") -> list[str]:
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
        ("model", f"{shown.model or '(no model)'} at {shown.url}"),
        ("sent", "once" if shown.attempts == 1 else f"{number(shown.attempts)} times"),
    ]
    if shown.dead_lettered_at is not None:
        facts.append(("failed", f"{shown.dead_lettered_at}: {shown.kind}, {shown.code}"))
    table([["", name, value] for name, value in facts])
    if shown.history:
        say()
        head = ["attempt", "revision", "sent", "took", "status", "kind", "code", "provider's id", "message"]
        table([head, *(_history_row(each) for each in shown.history)], right=frozenset({0, 1, 3, 4}))
        for leader in dict.fromkeys(each.request for each in shown.history if each.request != shown.request):
            say(f"(attempts of request {leader}, which has the same body: this row waited for its answer)")
    say()
    say("body")
    _say_body(bytes(shown.body))
    if shown.advice is not None:
        say()
        say(f"→ {words(shown.advice)}")


def _history_row(sending: "AttemptEntry") -> list[str]:
    return [
        str(sending.attempt),
        str(sending.revision),
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
        say_verbatim(f"  {line}")
    if len(text) > _BODY_SHOWN:
        say(f"  … {number(len(text) - _BODY_SHOWN)} more characters; --json prints all")

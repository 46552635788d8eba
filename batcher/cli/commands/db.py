"""`batcher db`: check, compact, back up or upgrade the store."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import number, print_json, say, size

if TYPE_CHECKING:
    from batcher.services.store.maintain import StoreCheck

_GROUP_EPILOG = """\b
Files beside the store:
  batcher.db-wal, -shm  SQLite's log and its index; answers may be in the log alone
  batcher.db-write      lock of the process that writes
  batcher.db-runner     lock of the process that runs jobs, with its pid
  batcher.db-loading    lock of the processes that load a job, while they do
  batcher.db-flights    requests in flight, during a run and after a crash

Do not delete them while a process uses the store. The locks -write and -runner are always there. To copy a store,
use `batcher db backup`.

\b
Examples:
  batcher db check
  batcher db backup monday.db
  batcher db upgrade
"""


@click.group(epilog=_GROUP_EPILOG)
@shared
def db() -> None:
    """Check, compact, back up or upgrade the store.

    The store is one SQLite file: batcher.db, unless --db, BATCHER_DB or batcher.toml names another.
    """


@db.command(epilog="\b\nExamples:\n  batcher db upgrade\n  batcher db upgrade --db old.db")
@shared
@click.pass_obj
def upgrade(session: Session) -> None:
    """Upgrade the store to this program's schema.

    `batcher run`, `submit` and `resume` do so automatically. A store with a newer schema is refused.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.store import maintain  # noqa: PLC0415

    done = maintain.upgrade(session.db, SystemClock())
    if done.before == done.after:
        say(f"{session.db} is up to date (schema {done.after})")
    else:
        say(f"{session.db} was upgraded from schema {done.before or 'none'} to {done.after}")


@db.command(epilog="\b\nExamples:\n  batcher db check\n  batcher db check --json    for a script")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def check(session: Session, *, as_json: bool) -> int:
    """Check the whole store for damage.

    Reads every page, index and reference, and counts the rows of every job, so a large store takes a while. It is
    safe while a job is running. Exits with 1 if the store is damaged or a count is wrong.
    """
    from batcher.services.store import maintain  # noqa: PLC0415 - heavy modules only where they are used

    found = maintain.check(session.db)
    print_json(found) if as_json else _say(found)
    return 0 if found.ok else FAILED


@db.command(epilog="\b\nExamples:\n  batcher db backup monday.db\n  batcher status --db monday.db    use it")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@shared
@click.pass_obj
def backup(session: Session, *, file: str, force: bool) -> None:
    """Copy the store to FILE.

    The copy is a complete store. It is safe while a job is running.
    """
    from batcher.services.store import maintain  # noqa: PLC0415 - heavy modules only where they are used

    say(f"{session.db} → {file} ({size(maintain.backup(session.db, file, replace=force))})")


@db.command(epilog="\b\nExamples:\n  batcher db compact\n  batcher db compact --db old.db")
@shared
@click.pass_obj
def compact(session: Session) -> None:
    """Write the store again without free space, and correct wrong counts.

    `batcher delete` gives disk space back by itself, except in a store made by an earlier version, which this
    command changes. It takes up to twice the size of the store on disk, and no job may be running.
    """
    from batcher.services.store import maintain  # noqa: PLC0415 - heavy modules only where they are used

    before, after = maintain.compact(session.db)
    say(f"{session.db}: {size(before)} → {size(after)}")


def _say(found: "StoreCheck") -> None:
    from batcher.services.store.open_store import RECOVERY  # noqa: PLC0415 - heavy modules only where they are used

    for problem in found.problems:
        say(f"{found.store}: {problem}")
    for job in found.miscounted:
        say(f"{found.store}: the counts of job {job} are not those of its rows")
    state = "damaged" if found.problems else "sound" if found.ok else "sound except for its counts"
    say(f"{found.store}: {state}, schema {found.revision or 'none'}, {size(found.bytes)}")
    if found.counts:
        say("  " + ", ".join(f"{number(count)} {name.replace('_', ' ')}" for name, count in found.counts.items()))
    if found.problems:
        say(f"→ replace it with a backup; without one, `{RECOVERY}` saves what is readable")
    elif found.miscounted:
        say("→ `batcher db compact` counts the rows again")
    elif found.revision != found.current:
        say("→ its schema is older than this program's: run `batcher db upgrade`")

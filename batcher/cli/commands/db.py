"""`batcher db`: look after the store."""

from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.terminal.errors import FAILED
from batcher.cli.terminal.output import number, print_json, say, size

if TYPE_CHECKING:
    from batcher.services.store.maintain import StoreCheck

_GROUP_EPILOG = """\b
Examples:
  batcher db check
  batcher db backup monday.db
  batcher db upgrade
"""


@click.group(epilog=_GROUP_EPILOG)
@shared
def db() -> None:
    """Look after the store.

    One SQLite file, batcher.db unless --db or BATCHER_DB names another.
    """


@db.command(epilog="\b\nExample:\n  batcher db upgrade --db old.db")
@shared
@click.pass_obj
def upgrade(session: Session) -> None:
    """Bring the store to this program's schema.

    `run`, `submit` and `resume` do it by themselves; a store that is newer than the program is left alone.
    """
    from batcher.clock import SystemClock  # noqa: PLC0415 - heavy modules only where they are used
    from batcher.services.store import maintain  # noqa: PLC0415

    done = maintain.upgrade(session.db, SystemClock())
    if done.before == done.after:
        say(f"{session.db} is up to date (schema {done.after})")
    else:
        say(f"{session.db} is upgraded: schema {done.before or 'none'} → {done.after}")


@db.command(epilog="\b\nExample:\n  batcher db check --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@shared
@click.pass_obj
def check(session: Session, *, as_json: bool) -> int:
    """Read the whole store and say whether it is sound.

    Every page, every index, every reference. May be asked while a runner works; a large store takes a while.
    """
    from batcher.services.store import maintain  # noqa: PLC0415 - heavy modules only where they are used

    found = maintain.check(session.db)
    print_json(found) if as_json else _say(found)
    return 0 if found.ok else FAILED


@db.command(epilog="\b\nExample:\n  batcher db backup monday.db")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE.")
@shared
@click.pass_obj
def backup(session: Session, *, file: str, force: bool) -> None:
    """Copy the store as it stands to FILE.

    While a runner works, too. The copy is a store: `batcher status --db FILE` looks into it.
    """
    from batcher.services.store import maintain  # noqa: PLC0415 - heavy modules only where they are used

    say(f"{session.db} → {file} ({size(maintain.backup(session.db, file, replace=force))})")


def _say(found: "StoreCheck") -> None:
    for problem in found.problems:
        say(f"{found.store}: {problem}")
    state = "sound" if found.ok else "damaged"
    say(f"{found.store}: {state}, schema {found.revision or 'none'}, {size(found.bytes)}")
    if found.counts:
        say("  " + ", ".join(f"{number(count)} {name.replace('_', ' ')}" for name, count in found.counts.items()))
    if found.problems:
        say("→ put a backup in its place; without one, `sqlite3 STORE .recover` saves what can be read")
    elif found.revision != found.current:
        say("→ its schema is older than this program's: `batcher db upgrade`")

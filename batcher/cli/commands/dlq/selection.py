"""Which dead letters a command means: by number, by filters, or all."""

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from batcher.cli.params.values import Whole
from batcher.domain.errors import UsageError
from batcher.domain.states import FailureKind

if TYPE_CHECKING:
    from batcher.store.dead_letters.listing import Filters
    from batcher.store.sqlite.database import Database

F = TypeVar("F", bound=Callable[..., Any])

#: SQLite's largest integer; no request has a larger number.
REQUEST = Whole(1, 2**63 - 1)


class Which(Struct, frozen=True, kw_only=True):
    """What was said about it; None: nothing."""

    job: str | None
    kind: str | None
    code: str | None
    status: int | None
    requests: tuple[int, ...] = ()
    every: bool = False

    def require(self) -> None:
        """Raise UsageError where nothing says which are meant: a change is not made to all by a slip."""
        if self.every and self.requests:
            raise UsageError("--all and REQUESTs contradict each other", hint="give one of them")
        filtered = (self.job, self.kind, self.code, self.status) != (None, None, None, None)
        if not (self.every or self.requests or filtered):
            raise UsageError("nothing says which dead letters are meant", hint="give REQUESTs, a filter, or --all")

    def filters(self, database: "Database") -> "Filters":
        """The same for the store. Raises UnknownJob."""
        from batcher.services.dead_letters import inspect  # noqa: PLC0415 - heavy modules only where they are used

        return inspect.filters_for(
            database, job=self.job, kind=self.kind, code=self.code, status=self.status, requests=self.requests
        )


def filtered(command: F) -> F:
    """Give a command `--job --kind --code --status`, as one argument, `which`."""
    return _with(command, [*_FILTERS])


def chosen(command: F) -> F:
    """Also REQUESTs by their number."""
    return _with(command, [_REQUESTS, *_FILTERS])


def chosen_or_all(command: F) -> F:
    """Also `--all`."""
    return _with(command, [_REQUESTS, *_FILTERS, _ALL])


_REQUESTS = click.argument("requests", type=REQUEST, nargs=-1, metavar="[REQUEST]...")
_ALL = click.option("--all", "every", is_flag=True, help="All dead letters of the store.")
_FILTERS = (
    click.option("--job", metavar="JOB", help="Of this job: a number or a unique name."),
    click.option("--kind", type=click.Choice([kind.value for kind in FailureKind]), help="Of this kind."),
    click.option("--code", metavar="CODE", help="Of this error code."),
    click.option("--status", type=Whole(100, 599), metavar="N", help="Of this last HTTP status."),
)


def _with(command: F, options: list[Callable[[Any], Any]]) -> F:
    def taking(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and gives
        said = {name: kwargs.pop(name) for name in Which.__struct_fields__ if name in kwargs}
        return command(*args, which=Which(**said), **kwargs)

    wrapped: Any = update_wrapper(taking, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators keep what they are given


def no_store(path: str) -> UsageError:
    """There is no store, so there is nothing that could be meant."""
    return UsageError(f"there are no dead letters: there is no store at {path}", hint="name one with --db")

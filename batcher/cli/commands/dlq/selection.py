"""Selects dead letters: by number, by filters, or all."""

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from batcher.config.table import DB
from batcher.domain.errors import UsageError
from batcher.domain.states import FailureKind

if TYPE_CHECKING:
    from batcher.domain.requests import Filters
    from batcher.ports import Store

F = TypeVar("F", bound=Callable[..., Any])

#: SQLite's largest integer; no request has a larger number.
REQUEST = click.IntRange(1, 2**63 - 1)


class LetterSelection(Struct, frozen=True, kw_only=True):
    """The dead letters that the options select. A filter that is None selects all."""

    job: str | None
    kind: str | None
    code: str | None
    status: int | None
    requests: tuple[int, ...] = ()
    every: bool = False

    def require(self) -> None:
        """Raise UsageError if nothing is selected, so that no change is made to all dead letters by accident."""
        if self.every and self.requests:
            raise UsageError("--all and REQUEST numbers contradict each other", hint="give one of them")
        filtered = (self.job, self.kind, self.code, self.status) != (None, None, None, None)
        if not (self.every or self.requests or filtered):
            raise UsageError("no dead letters are selected", hint="give REQUEST numbers, a filter, or --all")

    def filters(self, database: "Store") -> "Filters":
        """Convert to the store's filters. Raises UnknownJob."""
        from batcher.services.dead_letters import inspect  # noqa: PLC0415 - heavy modules only where they are used

        return inspect.filters_for(
            database, job=self.job, kind=self.kind, code=self.code, status=self.status, requests=self.requests
        )


def filter_options(command: F) -> F:
    """Add `--job --kind --code --status` to a command, which gets them as one argument, `selection`."""
    return _add_options(command, [*_FILTERS])


def selection_options(command: F) -> F:
    """Add REQUEST numbers and the filters."""
    return _add_options(command, [_REQUESTS, *_FILTERS])


def selection_or_all_options(command: F) -> F:
    """Add REQUEST numbers, the filters and `--all`."""
    return _add_options(command, [_REQUESTS, *_FILTERS, _ALL])


_REQUESTS = click.argument("requests", type=REQUEST, nargs=-1, metavar="[REQUEST]...")
_ALL = click.option("--all", "every", is_flag=True, help="Select all dead letters of the store.")
_FILTERS = (
    click.option("--job", metavar="JOB", help="Select by job, given as number or unique name."),
    click.option(
        "--kind", type=click.Choice([kind.value for kind in FailureKind]), help="Select by kind of failure."
    ),
    click.option("--code", metavar="CODE", help="Select by error code."),
    click.option("--status", type=click.IntRange(100, 599), metavar="N", help="Select by last HTTP status."),
)


def _add_options(command: F, options: list[Callable[[Any], Any]]) -> F:
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        values = {name: kwargs.pop(name) for name in LetterSelection.__struct_fields__ if name in kwargs}
        return command(*args, selection=LetterSelection(**values), **kwargs)

    wrapped: Any = update_wrapper(wrapper, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators return a function of the same type


def no_store(path: str) -> UsageError:
    """Return the error that there is no store, and so no dead letter."""
    return UsageError(f"there are no dead letters: there is no store at {path}", hint=f"name one with {DB.flag}")

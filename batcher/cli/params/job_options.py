"""The options of `run` and `submit` about the job file."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import Struct

from batcher.cli.params.setting_options import Option, add_options

F = TypeVar("F", bound=Callable[..., Any])


class FileOptions(Struct, frozen=True, kw_only=True):
    """The job file given to `run` or `submit`, and how to treat it."""

    file: str
    output: str | None
    new: bool
    name: str | None
    url: str | None
    model: str | None
    no_body_checks: bool
    skip_invalid: bool
    retry_dead: bool
    as_json: bool
    quiet: bool = False
    #: Whether the job is run at once.
    runs: bool = False


#: How the lines of a job file are read; also the options of `check`.
PARSING_OPTIONS: list[Option] = [
    click.option(
        "--url",
        metavar="PATH",
        help="API path for bare bodies without `messages`, for example /v1/embeddings.",
    ),
    click.option("--model", metavar="M", help="Model for bodies that name none, or a placeholder."),
    click.option(
        "--no-body-checks",
        is_flag=True,
        help="Send bodies as they are, also if they look wrong for their endpoint.",
    ),
]
_FILE_OPTIONS: list[Option] = [
    click.argument("file", metavar="FILE", type=click.Path(allow_dash=True)),
    click.option(
        "-o",
        "--output",
        metavar="RESULTS",
        help="Results file.  [default: FILE's stem + .results.jsonl, or .simulated.results.jsonl]",
    ),
    click.option("--new", is_flag=True, help="Create a new job even if this file has one."),
    click.option("--name", metavar="NAME", help="Name of the job.  [default: FILE's stem]"),
    *PARSING_OPTIONS,
    click.option("--skip-invalid", is_flag=True, help="Skip invalid lines; they go to the errors file."),
    click.option("--retry-dead", is_flag=True, help="If this file has a job, retry its dead letters too."),
    click.option("--json", "as_json", is_flag=True, help="Print the job's status as JSON at the end."),
]
_FILE_OPTION_NAMES = (
    "file",
    "output",
    "new",
    "name",
    "url",
    "model",
    "no_body_checks",
    "skip_invalid",
    "retry_dead",
    "as_json",
)


def file_options(command: F) -> F:
    """Add FILE and its options to a command, which gets them as one argument, `given`."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        values = {name: kwargs.pop(name) for name in _FILE_OPTION_NAMES}
        return command(*args, given=FileOptions(**values), **kwargs)

    return add_options(command, wrapper, _FILE_OPTIONS)

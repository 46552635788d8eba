"""The options of `run`, `submit` and `resume`."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

import click
from msgspec import Struct

from batcher.cli.params.values import Number, Whole
from batcher.config import Flags
from batcher.domain.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS: list[Callable[[Any], Any]] = [
    click.option("--base-url", metavar="URL", help="[env: OPENAI_BASE_URL; default: https://api.openai.com/v1]"),
    click.option("--api-key-env", metavar="NAME", help="Variable that holds the key.  [default: OPENAI_API_KEY]"),
    click.option(
        "--rpm",
        multiple=True,
        metavar="N",
        help="Requests a minute; MODEL=N for one model.  [default: as announced]",
    ),
    click.option(
        "--tpm",
        multiple=True,
        metavar="N",
        help="Tokens a minute; MODEL=N for one model.  [default: as announced]",
    ),
    click.option("--concurrency", type=Whole(), metavar="N", help="Most requests in flight.  [default: adaptive]"),
    click.option("--max-attempts", type=Whole(), metavar="N", help="Attempts a row.  [default: 6]"),
    click.option("--timeout", type=Number(), metavar="S", help="Seconds for one attempt.  [default: 600]"),
    click.option(
        "--max-wait",
        type=Number(),
        metavar="S",
        help="Seconds without an answer until it pauses.  [default: 3600]",
    ),
    click.option("--max-cost", type=Number(), metavar="USD", help="Not yet: batcher knows no prices."),
    click.option(
        "--cache",
        type=click.Choice(["all", "deterministic", "off"]),
        help="Which rows with the same body share one answer.  [default: all]",
    ),
    click.option("--no-cache", is_flag=True, default=None, help="The same as --cache off."),
    click.option(
        "--validate-output/--no-validate-output",
        default=None,
        help="Hold answers against the JSON format that a request asks for.  [default: on]",
    ),
    click.option("--allow-http", is_flag=True, default=None, help="Send a key over plain http to a public host."),
    click.option("--ca-file", metavar="FILE", help="[env: SSL_CERT_FILE; default: the system's]"),
    click.option("--simulate", is_flag=True, default=None, help="Run against the built-in simulated provider."),
]
_NAMES = (
    "base_url",
    "api_key_env",
    "rpm",
    "tpm",
    "concurrency",
    "max_attempts",
    "timeout",
    "max_wait",
    "max_cost",
    "cache",
    "allow_http",
    "validate_output",
    "ca_file",
    "simulate",
)


class FileOptions(Struct, frozen=True, kw_only=True):
    """How `run` and `submit` are to take a file."""

    file: str
    output: str | None
    new: bool
    name: str | None
    url: str | None
    skip_invalid: bool
    retry_dead: bool
    as_json: bool
    quiet: bool = False
    #: Whether the job is run at once.
    runs: bool = False


_OF_A_FILE: list[Callable[[Any], Any]] = [
    click.argument("file", metavar="FILE", type=click.Path(allow_dash=True)),
    click.option(
        "-o",
        "--output",
        metavar="RESULTS",
        help="Where the results go.  [default: FILE's stem + .results.jsonl, or .simulated.results.jsonl]",
    ),
    click.option("--new", is_flag=True, help="Make a new job even where this file is known."),
    click.option("--name", metavar="N", help="Name the job.  [default: FILE's stem]"),
    click.option(
        "--url", metavar="PATH", help="Endpoint of bare bodies that have no `messages`, as /v1/embeddings."
    ),
    click.option(
        "--skip-invalid", is_flag=True, help="Run the good lines; the bad ones stand in the errors file."
    ),
    click.option("--retry-dead", is_flag=True, help="Of a known file, put the dead letters back first."),
    click.option("--json", "as_json", is_flag=True, help="Print the job's status as JSON at the end."),
]


_FILE_NAMES = ("file", "output", "new", "name", "url", "skip_invalid", "retry_dead", "as_json")


def of_a_file(command: F) -> F:
    """Give a command FILE and what is said of it as one argument, `given`."""

    def taking(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and gives
        said = {name: kwargs.pop(name) for name in _FILE_NAMES}
        return command(*args, given=FileOptions(**said), **kwargs)

    return _with(command, taking, _OF_A_FILE)


def settings(command: F) -> F:
    """Give a command the settings as one argument, `flags`."""

    def taking(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and gives
        values = {name: kwargs.pop(name) for name in _NAMES}
        if kwargs.pop("no_cache"):
            if values["cache"] not in {None, "off"}:
                raise UsageError(f"--no-cache contradicts --cache {values['cache']}", hint="give one of them")
            values["cache"] = "off"
        if values["max_cost"] is not None:
            raise UsageError(
                "--max-cost cannot be kept yet: batcher knows no prices",
                hint="leave it out, and set a spend limit at the provider",
            )
        return command(*args, flags=Flags(**values), **kwargs)

    return _with(command, taking, _SETTINGS)


def _with(command: F, taking: Callable[..., Any], options: list[Callable[[Any], Any]]) -> F:
    wrapped: Any = update_wrapper(taking, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators keep what they are given

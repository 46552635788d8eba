"""The options of `run`, `submit`, `resume` and `doctor`."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

import click
from msgspec import Struct

from batcher.config import Flags
from batcher.domain.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

# Ranges are checked by `batcher.config`, which checks the same settings from batcher.toml and Python.
_SETTINGS: list[Callable[[Any], Any]] = [
    click.option(
        "--base-url",
        metavar="URL",
        help="Base URL of the endpoint.  [env: OPENAI_BASE_URL; default: https://api.openai.com/v1]",
    ),
    click.option(
        "--api-key-env",
        metavar="NAME",
        help="Environment variable that holds the API key.  [default: OPENAI_API_KEY]",
    ),
    click.option(
        "--rpm",
        multiple=True,
        metavar="N",
        help="Requests per minute; MODEL=N for one model.  [default: announced by the provider]",
    ),
    click.option(
        "--tpm",
        multiple=True,
        metavar="N",
        help="Tokens per minute; MODEL=N for one model.  [default: announced by the provider]",
    ),
    click.option("--concurrency", type=int, metavar="N", help="Maximum requests in flight.  [default: adaptive]"),
    click.option("--max-attempts", type=int, metavar="N", help="Maximum attempts per row.  [default: 6]"),
    click.option("--timeout", type=float, metavar="S", help="Maximum seconds per attempt.  [default: 600]"),
    click.option(
        "--max-wait",
        type=float,
        metavar="S",
        help="Maximum seconds without an answer before the job pauses.  [default: 3600]",
    ),
    click.option("--max-cost", type=float, metavar="USD", help="Not supported yet: batcher knows no prices."),
    click.option(
        "--cache",
        type=click.Choice(["all", "deterministic", "off"]),
        help="Reuse answers: all, deterministic (temperature 0 or a seed) or off.  [default: all; at a loopback "
        "endpoint, and with --simulate, answers of earlier jobs only if --cache all is given]",
    ),
    click.option("--no-cache", is_flag=True, default=None, help="Same as --cache off."),
    click.option(
        "--validate-output/--no-validate-output",
        default=None,
        help="Check each answer against the JSON format that its request asks for.  [default: on]",
    ),
    click.option(
        "--fail-truncated/--no-fail-truncated",
        default=None,
        help="Make dead letters of answers that are cut at their token limit.  [default: off]",
    ),
    click.option("--allow-http", is_flag=True, default=None, help="Allow a key over plain HTTP to a public host."),
    click.option(
        "--ca-file",
        metavar="FILE",
        help="CA certificates, in PEM.  [env: SSL_CERT_FILE; default: the system's]",
    ),
    click.option(
        "--simulate", is_flag=True, default=None, help="Use the built-in simulated provider; needs no key."
    ),
]
_SETTING_NAMES = (
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
    "fail_truncated",
    "ca_file",
    "simulate",
)


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
PARSING_OPTIONS: list[Callable[[Any], Any]] = [
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
_FILE_OPTIONS: list[Callable[[Any], Any]] = [
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

    return _add_options(command, wrapper, _FILE_OPTIONS)


def setting_options(command: F) -> F:
    """Add the options for settings to a command, which gets them as one argument, `flags`."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        values = {name: kwargs.pop(name) for name in _SETTING_NAMES}
        if kwargs.pop("no_cache"):
            if values["cache"] not in {None, "off"}:
                raise UsageError(f"--no-cache contradicts --cache {values['cache']}", hint="give one of them")
            values["cache"] = "off"
        if values["max_cost"] is not None:
            raise UsageError(
                "--max-cost is not supported yet: batcher knows no prices",
                hint="remove it, and set a spend limit at the provider",
            )
        return command(*args, flags=Flags(**values), **kwargs)

    return _add_options(command, wrapper, _SETTINGS)


def _add_options(command: F, wrapper: Callable[..., Any], options: list[Callable[[Any], Any]]) -> F:
    wrapped: Any = update_wrapper(wrapper, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators return a function of the same type

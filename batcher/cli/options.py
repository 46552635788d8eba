"""The settings of `run`, `submit` and `resume`."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

import click

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
    click.option("--concurrency", type=int, metavar="N", help="Most requests in flight.  [default: adaptive]"),
    click.option("--max-attempts", type=int, metavar="N", help="Attempts a row.  [default: 6]"),
    click.option("--timeout", type=float, metavar="S", help="Seconds for one attempt.  [default: 600]"),
    click.option(
        "--max-wait", type=float, metavar="S", help="Seconds without an answer until it pauses.  [default: 3600]"
    ),
    click.option("--max-cost", type=float, metavar="USD", help="Not yet: batcher knows no prices."),
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

    wrapped: Any = update_wrapper(taking, command)
    for option in reversed(_SETTINGS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators keep what they are given

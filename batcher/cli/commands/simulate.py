"""`batcher simulate`: a simulated provider on loopback."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.params.values import Number, Whole
from batcher.cli.terminal.output import note, number, say
from batcher.config import as_secret
from batcher.config.limits import read_limit_flags
from batcher.domain.errors import ConfigError
from batcher.domain.states import ChargeRule

if TYPE_CHECKING:
    from batcher.simulate import RunningServer, SimulatedProvider, Stats

_EPILOG = """\b
Examples:
  batcher simulate --rpm 500 --tpm 200k
  batcher simulate --port 8080 --latency 1 --fail 0.05
  batcher run job.jsonl --base-url http://127.0.0.1:8000/v1
"""
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


@click.command(epilog=_EPILOG)
@click.option("--port", type=Whole(0, 65_535), default=8_000, show_default=True, help="0: any that is free.")
@click.option("--rpm", multiple=True, metavar="N", help="Requests a minute; MODEL=N for one.  [default: no limit]")
@click.option("--tpm", multiple=True, metavar="N", help="Tokens a minute; MODEL=N for one.  [default: no limit]")
@click.option(
    "--latency", type=Number(), default=0.2, show_default=True, metavar="S", help="Median seconds of a reply."
)
@click.option(
    "--fail",
    type=Number(),
    default=0.0,
    show_default=True,
    metavar="R",
    help="Share that fails with 500, 502, 503.",
)
@click.option(
    "--charge",
    type=click.Choice([rule.value for rule in ChargeRule]),
    default=ChargeRule.MAX.value,
    show_default=True,
    help="How tokens are charged: prompt plus maximum, the larger of both, as produced.",
)
@click.option(
    "--burst", type=Number(), default=1.0, show_default=True, metavar="S", help="Seconds of budget saved up."
)
@click.option("--no-headers", is_flag=True, help="Replies announce no limits.")
@click.option("--no-retry-after", is_flag=True, help="Refusals do not say when to come back.")
@click.option(
    "--api-key-env", metavar="NAME", help="Let in only the key in this variable.  [default: any, or none]"
)
@click.option("--journal", metavar="FILE", help="Append every request to a file, one JSON document a line.")
@shared
@click.pass_obj
def simulate(
    session: Session,
    *,
    port: int,
    rpm: tuple[str, ...],
    tpm: tuple[str, ...],
    latency: float,
    fail: float,
    charge: str,
    burst: float,
    no_headers: bool,
    no_retry_after: bool,
    api_key_env: str | None,
    journal: str | None,
) -> int:
    """Serve a simulated provider on loopback.

    OpenAI-compatible, with limits, latency and faults; until Ctrl-C. Prints its base URL once it listens. A row
    says in its body what shall become of it: "metadata": {"simulate": {"status": 500, "fail_times": 2}}.
    """
    from batcher.simulate import SimulatedProvider  # noqa: PLC0415 - heavy modules only where they are used

    limits = read_limit_flags(rpm, tpm)
    settings = SimulatedProvider(
        port=port,
        rpm=limits.plain.rpm,
        tpm=limits.plain.tpm,
        model_limits=limits.models,
        latency=latency,
        fail=fail,
        charge=ChargeRule(charge),
        burst=burst,
        headers=not no_headers,
        retry_after=not no_retry_after,
        api_key=_key(api_key_env),
    )
    stats, code = asyncio.run(_serve(settings, None if journal is None else Path(journal)))
    if not session.quiet:
        ended = f"{number(stats.answered)} answered, {number(stats.refused)} refused"
        note(f"{number(stats.requests)} requests: {ended}")
    return code


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name, "").strip():
        raise ConfigError(
            f"{name} is not set: it holds the key to let in", hint="export it, or leave --api-key-env out"
        )
    return as_secret(os.environ[name], name).reveal()


async def _serve(settings: "SimulatedProvider", journal: Path | None) -> "tuple[Stats, int]":
    """Until a signal comes; returns what came in and the exit code."""
    from batcher.clock import SystemClock  # noqa: PLC0415 - as above
    from batcher.services.simulate import serve  # noqa: PLC0415

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    came: list[signal.Signals] = []

    def take(which: signal.Signals) -> None:
        came.append(which)
        stop.set()

    for which in _EXIT_CODES:
        loop.add_signal_handler(which, take, which)
    stats = await serve(settings, journal=journal, clock=SystemClock(), listening=_say_listening, stop=stop)
    return stats, _EXIT_CODES[came[0]]


def _say_listening(server: "RunningServer") -> None:
    say(server.url)
    note(f"use it: batcher run FILE --base-url {server.url}")
    note(f"counts: {server.stats_url}   (Ctrl-C ends it)")

"""`batcher simulate`: serve a simulated provider on localhost."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batcher.cli.params.session import Session, shared
from batcher.cli.params.setting_options import option_of
from batcher.cli.terminal.output import note, number, say
from batcher.config import as_secret
from batcher.config.limits import limits_of, read_figures
from batcher.config.table import API_KEY_ENV, BASE_URL, RPM, TPM
from batcher.domain.errors import ConfigError
from batcher.domain.states import ChargeRule

if TYPE_CHECKING:
    from batcher.simulate import RunningServer, SimulatedProvider, Stats

_EPILOG = """\b
Examples:
  batcher simulate --rpm 500 --tpm 200k                        start the provider
  batcher run job.jsonl --base-url http://127.0.0.1:8000/v1    use it
  batcher simulate --port 8080 --latency 1 --fail 0.05         slow and unreliable
"""
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


@click.command(epilog=_EPILOG)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8_000,
    show_default=True,
    metavar="N",
    help="Port; 0 chooses a free one.",
)
@option_of(RPM, words=f"{RPM.help}  [default: no limit]")
@option_of(TPM, words=f"{TPM.help}  [default: no limit]")
@click.option(
    "--latency", type=float, default=0.2, show_default=True, metavar="S", help="Median seconds per reply."
)
@click.option(
    "--fail",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of requests (0 to 1) that fail with 500, 502 or 503.",
)
@click.option(
    "--charge",
    type=click.Choice([rule.value for rule in ChargeRule]),
    default=ChargeRule.MAX.value,
    show_default=True,
    help="How tokens are charged: prompt plus max_tokens (sum), the larger of both (max), or as produced.",
)
@click.option(
    "--burst",
    type=float,
    default=1.0,
    show_default=True,
    metavar="S",
    help="Seconds of unused limit that can be saved up for a burst.",
)
@click.option("--no-headers", is_flag=True, help="Do not announce limits in response headers.")
@click.option("--no-retry-after", is_flag=True, help="Do not send Retry-After with a 429.")
@option_of(API_KEY_ENV, words="Accept only the key in this environment variable.  [default: any key, or none]")
@click.option("--journal", metavar="FILE", help="Append every request to this file, as JSON Lines.")
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
    """Serve a simulated provider on localhost.

    The provider is OpenAI-compatible, with limits, latency and faults. It prints its base URL when it listens, and
    runs until Ctrl-C. A request can set its own outcome in its body: "metadata": {"simulate": {"status": 500,
    "fail_times": 2}}.
    """
    from batcher.simulate import SimulatedProvider  # noqa: PLC0415 - heavy modules only where they are used

    given = ((RPM, rpm), (TPM, tpm))
    limits, model_limits = limits_of({limit.name: read_figures(values, limit.flag) for limit, values in given})
    settings = SimulatedProvider(
        port=port,
        rpm=limits.rpm,
        tpm=limits.tpm,
        model_limits=model_limits,
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
        outcomes = f"{number(stats.answered)} answered, {number(stats.refused)} refused"
        note(f"{number(stats.requests)} requests: {outcomes}")
    return code


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name, "").strip():
        raise ConfigError(
            f"{name} is not set: it must hold the key to accept",
            hint=f"export it, or leave {API_KEY_ENV.flag} out",
        )
    return as_secret(os.environ[name], name).reveal()


async def _serve(settings: "SimulatedProvider", journal: Path | None) -> "tuple[Stats, int]":
    """Serve until a signal arrives; return the counts of requests and the exit code of the signal."""
    from batcher.clock import SystemClock  # noqa: PLC0415 - as above
    from batcher.services.simulate import serve  # noqa: PLC0415

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    received: list[signal.Signals] = []

    def handle(each: signal.Signals) -> None:
        received.append(each)
        stop.set()

    for each in _EXIT_CODES:
        loop.add_signal_handler(each, handle, each)
    stats = await serve(settings, journal=journal, clock=SystemClock(), listening=_say_listening, stop=stop)
    return stats, _EXIT_CODES[received[0]]


def _say_listening(server: "RunningServer") -> None:
    say(server.url)
    note(f"use it: batcher run FILE {BASE_URL.flag} {server.url}")
    note(f"counts: {server.stats_url}   (Ctrl-C stops it)")

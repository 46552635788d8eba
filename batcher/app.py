"""Composition root: the one place that constructs concrete objects."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from batcher.clock import SystemClock, uptime
from batcher.config import answer_scope, find_headers, find_key, key_header, key_mark
from batcher.domain.jobs import Job
from batcher.ports import Budget, Sender
from batcher.services.runs.descriptors import most_connections
from batcher.services.runs.interpreter_tuning import tuned_for_throughput
from batcher.services.runs.run import Parts
from batcher.simulate import SimulatedProvider
from batcher.validator.process import ValidatorProcess

T = TypeVar("T")

_SWITCH_SECONDS = 3e-5

#: The provider of `run --simulate`: it announces its limits in headers, and has enough latency to watch them work.
DEMO_PROVIDER = SimulatedProvider(rpm=6_000, tpm=4_000_000, latency=0.25)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, on the fastest event loop that this platform has.

    Python lets a busy thread keep the interpreter for 5 ms. A shorter switch interval lets the store's thread run
    between two statements. Otherwise answers wait for a commit that waits for the event loop (measured: a tenth of
    the throughput).
    """
    with tuned_for_throughput(_SWITCH_SECONDS), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - only where something runs
    except ImportError:
        return None
    return uvloop.new_event_loop


def make_parts(*, environ: Mapping[str, str] | None = None) -> Parts:
    """Construct the parts of a runner: worker, queue, store writer, HTTP by aiohttp, budgets by aiolimiter."""
    from batcher.store.queue.adapter import SqlQueue  # noqa: PLC0415 - only where something runs
    from batcher.worker.worker import Worker  # noqa: PLC0415

    clock = SystemClock()
    given = os.environ if environ is None else environ

    def sender(job: Job, base_url: str) -> AbstractAsyncContextManager[Sender]:
        return _sender(job, base_url, given)

    return Parts(
        answer_scope=lambda settings: answer_scope(settings, given),
        key_mark=lambda settings, salt: key_mark(settings, given, salt),
        clock=clock,
        queue=SqlQueue,
        runner=Worker,
        budget=lambda most: _budget(clock, most),
        writer=lambda store: store.start_writer(),
        sender=sender,
        simulator=_simulator,
        validator=ValidatorProcess,
        uptime=uptime,
        jitter=random.Random().random,  # noqa: S311 - jitter is no secret
    )


def _budget(clock: SystemClock, most: int | None) -> Budget:
    """Make the budgets. A concurrency that is given is tried; the adaptive one stays below the descriptors."""
    from batcher.budget.lanes import LaneBudgets  # noqa: PLC0415 - aiolimiter only where requests are sent

    room = most_connections()
    return LaneBudgets(clock, most_in_flight=most, most_open=room if most is None else None)


def _sender(job: Job, base_url: str, environ: Mapping[str, str]) -> AbstractAsyncContextManager[Sender]:
    from batcher.sender.http import HttpSender  # noqa: PLC0415 - aiohttp only where requests are sent
    from batcher.sender.target import Target  # noqa: PLC0415

    settings = job.settings
    key = None if settings.simulate else find_key(settings, environ)
    carrier = key_header(settings.headers)
    target = Target(
        base_url=base_url,
        key=key,
        key_place="" if carrier is None else f"{settings.headers[carrier]}, which holds the header {carrier}",
        missing_key=settings.api_key_env if key is None and carrier is None else "",
        headers=find_headers(settings, environ),
        timeout=settings.timeout,
        ca_file=settings.ca_file,
        use_proxy=not settings.simulate,
    )
    return HttpSender(target, SystemClock())


@asynccontextmanager
async def _simulator() -> AsyncIterator[str]:
    from batcher.simulate import SimulatedServer  # noqa: PLC0415 - aiohttp's server only where it serves

    async with SimulatedServer(DEMO_PROVIDER) as running:
        yield running.url

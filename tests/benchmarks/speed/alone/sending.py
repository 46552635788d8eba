"""The pieces between claim and settlement: admit, send, classify, and the worker's loops around them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from batcher.budget.lanes import LaneBudgets
from batcher.clock import SystemClock
from batcher.domain.exchange import Reply
from batcher.domain.feedback import Feedback
from batcher.domain.ids import EndpointId, JobId, RequestId, RouteId
from batcher.domain.jobs import Job
from batcher.domain.lanes import Charge, LaneKey
from batcher.domain.outcomes import Success, Usage
from batcher.domain.requests import Claim, ParsedLine, Route
from batcher.domain.settings import JobSettings, Limits
from batcher.domain.states import JobState, RequestEnd
from batcher.policy.classify.classify import ReplyContext, classify
from batcher.policy.classify.rate_headers import rate_hints
from batcher.policy.classify.structured_output import check_output
from batcher.policy.tokens.estimate import names_maximum
from batcher.ports import Sender
from batcher.sender.http import HttpSender
from batcher.sender.target import Target
from batcher.worker.worker import Worker
from tests.benchmarks.speed.alone.costing import Piece, piece
from tests.benchmarks.speed.alone.door import parsed
from tests.benchmarks.speed.alone.memory import AtOnce, Deaf, MemoryQueue
from tests.benchmarks.speed.bench import CONCURRENCY
from tests.benchmarks.speed.provider import REPLY
from tests.support.inline_validator import InlineValidator

#: Seconds after which a worker that does not end is an error.
_PATIENCE: Final = 120.0
_CHAT: Final = "/v1/chat/completions"
_REPLY: Final = Reply(
    status=200,
    headers={
        "server": "nginx",
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "content-type": "application/json",
        "content-length": str(len(REPLY)),
        "connection": "keep-alive",
        "x-request-id": "req_5a1f6e1c4d0b4f0f9c1d2e3f4a5b6c7d",
    },
    body=REPLY.encode(),
    sent_at=1,
    ended_at=2,
    latency_us=1,
)
_JOB: Final = Job(
    id=JobId(1),
    public_id="batch_5a1f6e1c4d0b4f0f9c1d2e3f",
    name="bench",
    state=JobState.OPEN,
    wanted=True,
    endpoint_id=EndpointId(1),
    cache_scope=EndpointId(1),
    base_url="http://127.0.0.1:1/v1",
    key_name="OPENAI_API_KEY",
    settings=JobSettings(base_url="http://127.0.0.1:1/v1"),
    settings_version=1,
    source_name="bench.jsonl",
    source_path=None,
    output_path=None,
    total=0,
    first_request=None,
    last_request=None,
    created_at=1,
    started_at=1,
    finished_at=None,
    active_us=0,
)


def pieces(file: Path, base_url: str) -> list[Piece]:
    """Every line of the file, once a turn."""
    lines = parsed(file.read_bytes().splitlines())
    claims = [_claimed(number, line) for number, line in enumerate(lines, 1)]
    rows = len(lines)
    return [
        piece("admit", "a place in the budget taken and given back", lambda: asyncio.run(_admit(claims)), rows),
        piece("bare send", "aiohttp alone: post and read", lambda: asyncio.run(_post(claims, base_url)), rows),
        piece("send", "HttpSender: post and read", lambda: asyncio.run(_send(claims, base_url)), rows),
        piece("classify", "what the reply means, its headers, its format", lambda: _classify(claims), rows),
        piece(
            "worker",
            "all loops, admit and classify in them; store and HTTP cost nothing",
            lambda: asyncio.run(_work(claims)),
            rows,
        ),
    ]


def _claimed(number: int, line: ParsedLine) -> Claim:
    return Claim(
        request_id=RequestId(number),
        job_id=_JOB.id,
        route_id=RouteId(1),
        endpoint_id=_JOB.endpoint_id,
        line=line.line,
        custom_id=line.custom_id,
        path=line.path,
        model=line.model,
        send=1,
        attempts_used=0,
        lost=0,
        timeouts=0,
        revision=0,
        est_input=line.est_input,
        est_output=line.est_output,
        body=line.body,
    )


async def _admit(claims: Sequence[Claim]) -> None:
    """64 in flight: as one goes in, the oldest comes back."""
    budgets = LaneBudgets(SystemClock(), most_in_flight=CONCURRENCY)
    key = LaneKey(endpoint_id=_JOB.endpoint_id, key_name=_JOB.key_name, model=claims[0].model)
    budgets.open_lane(key, Limits(), cooling_until=None)
    hints = rate_hints(_REPLY.headers, host="127.0.0.1")
    for claim in claims:
        charge = Charge(
            input_tokens=claim.est_input,
            output_tokens=claim.est_output,
            bounded=names_maximum(claim.body, claim.est_output),
        )
        place = await budgets.reserve(key, charge)
        usage = Usage(input_tokens=78, output_tokens=31)
        budgets.finish(place, Feedback(end=RequestEnd.ANSWERED, usage=usage, hints=hints))


async def _in_parallel(claims: Sequence[Claim], one: Callable[[Claim], Awaitable[None]]) -> None:
    waiting = iter(claims)

    async def take(waiting: Iterator[Claim]) -> None:
        for claim in waiting:
            await one(claim)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(take(waiting))


async def _post(claims: Sequence[Claim], base_url: str) -> None:
    url = f"{base_url}/chat/completions"
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def one(claim: Claim) -> None:
            async with session.post(url, data=claim.body) as response:
                await response.read()

        await _in_parallel(claims, one)


async def _send(claims: Sequence[Claim], base_url: str) -> None:
    async with HttpSender(Target(base_url=base_url), SystemClock()) as sender:

        async def one(claim: Claim) -> None:
            name = f"{_JOB.public_id}-{claim.request_id}-{claim.send}"
            result = await sender.send(path=claim.path, body=claim.body, client_request_id=name)
            if not isinstance(result, Reply) or result.status != 200:
                raise SystemExit(f"the provider did not answer: {result}")

        await _in_parallel(claims, one)


def _classify(claims: Sequence[Claim]) -> None:
    context = ReplyContext(host="127.0.0.1", endpoint_answered=True, route_answered=True)
    for claim in claims:
        outcome = classify(_REPLY, path=_CHAT, context=context)
        assert isinstance(outcome, Success)
        check_output(outcome, request=claim.body, reply=_REPLY.body)
        rate_hints(_REPLY.headers, host="127.0.0.1")


async def _work(claims: Sequence[Claim]) -> None:
    route = Route(
        id=RouteId(1),
        job_id=_JOB.id,
        path=_CHAT,
        model=claims[0].model,
        endpoint_id=_JOB.endpoint_id,
        cache_scope=_JOB.cache_scope,
        reuse_earlier=False,
    )
    clock, queue = SystemClock(), MemoryQueue(_JOB, route, claims)

    async def sender(_: Job) -> Sender:
        return AtOnce(_REPLY)

    worker = Worker(
        queue=queue,
        budget=LaneBudgets(clock, most_in_flight=CONCURRENCY),
        clock=clock,
        events=Deaf(),
        senders=sender,
        concurrency=CONCURRENCY,
        validator=InlineValidator(),
        jitter=lambda: 0.0,
    )
    async with asyncio.timeout(_PATIENCE):
        await worker.run([_JOB.id])
    if queue.settled != len(claims):
        raise SystemExit(f"{queue.settled:,} of {len(claims):,} rows were answered")

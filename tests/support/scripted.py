"""A sender whose every reply is decided by a function of the row, its path and the time."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.jobs import Job
from batcher.ports import Sender
from tests.support.virtual_time import VirtualClock
from tests.support.workers import Rig, now

ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}
#: Seconds that a reply takes, its status, and its body.
Said = tuple[float, int, Any]
OK: Said = (1.0, 200, ANSWER)


def error(status: int, code: str, *, after: float = 0.005, **more: str) -> Said:
    return after, status, {"error": {"message": f"{code}, it says", "code": code, **more}}


class Scripted:
    """`ports.Sender`: a function of the row's text, its path and the time decides each reply."""

    def __init__(self, decide: Callable[[str, str, float], Said]) -> None:
        self._decide = decide
        self._clock = VirtualClock()
        self.sent: list[str] = []

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        document = json.loads(body)
        text = str(document["messages"][0]["content"] if "messages" in document else document["input"])
        self.sent.append(text)
        sent_at = self._clock.now()
        delay, status, said = self._decide(text, path, now())
        await asyncio.sleep(delay)
        raw = said if isinstance(said, bytes) else json.dumps(said).encode()
        kind = "text/html" if raw.startswith(b"<") else "application/json"
        return Reply(
            status=status,
            headers={"content-type": kind},
            body=raw,
            sent_at=sent_at,
            ended_at=self._clock.now(),
            latency_us=int(1e6 * delay),
        )


def use(rig: Rig, decide: Callable[[str, str, float], Said]) -> Scripted:
    sender = Scripted(decide)

    async def senders(_: Job) -> Sender:
        return sender

    rig.senders = senders
    return sender

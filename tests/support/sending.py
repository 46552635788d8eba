"""What tests of the sender share: a clock that stands, a key, and one send that is awaited."""

from typing import Any

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.secret import Secret
from batcher.domain.states import FaultKind
from batcher.ports import Sender
from batcher.sender.http import HttpSender
from batcher.sender.target import Target

KEY = "sk-proj-Zx81Kq_Test-Key0987654321abcdWXYZ"
PATH = "/v1/chat/completions"
BODY = b'{"model": "m",  "n": 12345678901234567890, "messages": [{"role": "user", "content": "caf\\u00e9"}]}'


class StillClock:
    """A Clock that stands."""

    def now(self) -> int:
        return 1_700_000_000_000_000


def target(base_url: str, **settings: Any) -> Target:
    return Target(**{"base_url": base_url, "key": Secret(KEY), "timeout": 5.0, **settings})


async def post(sender: Sender, body: bytes = BODY, number: str = "id-1") -> Reply | TransportFault:
    return await sender.send(path=PATH, body=body, client_request_id=number)


async def send(base_url: str, *, body: bytes = BODY, **settings: Any) -> Reply | TransportFault:
    """One send by a sender of its own."""
    async with HttpSender(target(base_url, **settings), StillClock()) as sender:
        return await post(sender, body)


async def reply_of(base_url: str, **settings: Any) -> Reply:
    outcome = await send(base_url, **settings)
    assert isinstance(outcome, Reply), outcome
    return outcome


async def fault_of(base_url: str, **settings: Any) -> TransportFault:
    outcome = await send(base_url, **settings)
    assert isinstance(outcome, TransportFault), outcome
    return outcome


def summary(outcome: Reply | TransportFault) -> tuple[FaultKind, bool] | int:
    """(kind, sent) of a fault; the status of a reply."""
    return outcome.status if isinstance(outcome, Reply) else (outcome.kind, outcome.sent)

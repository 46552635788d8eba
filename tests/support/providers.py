"""The simulated provider behind `ports.Sender`, in virtual time: latency, limits and faults from its settings."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import FaultKind
from batcher.simulate import SimulatedProvider
from batcher.simulate.faults import Manner
from batcher.simulate.provider import Arrival, Plan, Provider
from tests.support.virtual_time import VirtualClock

#: Answers after half a second, without limits.
QUICK = SimulatedProvider(latency=0.5, latency_sigma=0.0)


@dataclass(kw_only=True)
class Arrived:
    """A request as the provider saw it. Times are loop seconds; `status` None: no reply, or not yet."""

    at: float
    body: bytes
    client_request_id: str
    status: int | None = None
    ended: float | None = None

    @property
    def text(self) -> str:
        """The text that `chat` was given."""
        said: str = json.loads(self.body)["messages"][0]["content"]
        return said

    @property
    def model(self) -> str:
        name: str = json.loads(self.body)["model"]
        return name


def chat(text: str, *, model: str = "m", simulate: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A chat body; `simulate` requests a behaviour of the provider."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return body if simulate is None else {**body, "metadata": {"simulate": simulate}}


def chats(count: int, *, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [chat(f"row {number}", **more) for number in range(start, start + count)]


#: Replaces the provider for an arrival by a fault; None: the provider decides.
Script = Callable[[Arrived], FaultKind | None]


@dataclass
class FakeProvider:
    """`ports.Sender`: the simulated provider decides each reply; `journal` keeps the arrivals."""

    settings: SimulatedProvider = QUICK
    #: The API key of the requests.
    key: str = "good"
    timeout: float = 600.0
    script: Script = lambda _: None
    journal: list[Arrived] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._provider = Provider(self.settings)
        self._clock = VirtualClock()

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        loop = asyncio.get_running_loop()
        seen = Arrived(at=loop.time(), body=body, client_request_id=client_request_id)
        sent_at = self._clock.now()
        fault = self.script(seen)
        if fault is not None and fault in UNSENT:
            return self._fault(fault, sent_at)
        self.journal.append(seen)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._exchange(seen, path, sent_at, fault)
        finally:
            self.in_flight -= 1
            seen.ended = loop.time()

    async def _exchange(
        self, seen: Arrived, path: str, sent_at: int, fault: FaultKind | None
    ) -> Reply | TransportFault:
        if fault is not None:
            return self._fault(fault, sent_at)
        plan = self._provider.receive(Arrival(at=seen.at, method="POST", path=path, key=self.key, body=seen.body))
        await asyncio.sleep(min(plan.delay, self.timeout))
        if plan.delay > self.timeout:
            return self._fault(FaultKind.TIMEOUT, sent_at)
        if plan.manner is not Manner.WHOLE:
            return self._fault(FaultKind.RESET, sent_at)
        seen.status = plan.status
        return self._reply(plan, sent_at)

    def _reply(self, plan: Plan, sent_at: int) -> Reply:
        now = self._clock.now()
        headers = {"content-type": plan.content_type, **plan.headers}
        return Reply(
            status=plan.status,
            headers=headers,
            body=plan.body,
            sent_at=sent_at,
            ended_at=now,
            latency_us=now - sent_at,
        )

    def _fault(self, kind: FaultKind, sent_at: int) -> TransportFault:
        now = self._clock.now()
        return TransportFault(
            kind=kind,
            message=kind.value,
            sent_at=sent_at,
            ended_at=now,
            latency_us=now - sent_at,
            sent=kind not in UNSENT,
        )

    @property
    def answered(self) -> list[Arrived]:
        return [seen for seen in self.journal if seen.status == 200]

    @property
    def refused(self) -> list[Arrived]:
        return [seen for seen in self.journal if seen.status == 429]

    def of(self, text: str) -> list[Arrived]:
        """Return the sendings of one row."""
        return [seen for seen in self.journal if seen.text == text]

    def times(self, text: str) -> list[float]:
        return [seen.at for seen in self.of(text)]

    def counts(self) -> Counter[str]:
        """Count the sendings of each row."""
        return Counter(seen.text for seen in self.journal)


#: Faults of connections that could not be opened: nothing was sent.
UNSENT = frozenset({FaultKind.DNS, FaultKind.REFUSED, FaultKind.TLS, FaultKind.CONNECT_TIMEOUT, FaultKind.LOCAL})


@dataclass
class Outage:
    """A script: every request between two loop times gets this fault; `tried` lists the times of the requests."""

    start: float
    end: float
    kind: FaultKind = FaultKind.REFUSED
    tried: list[float] = field(default_factory=list)

    def __call__(self, seen: Arrived) -> FaultKind | None:
        if not self.start <= seen.at < self.end:
            return None
        self.tried.append(seen.at)
        return self.kind


def most_in_a_window(times: Sequence[float], seconds: float) -> int:
    """Return the most arrivals in any half-open window of the given seconds."""
    ordered = sorted(times)
    first, most = 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most

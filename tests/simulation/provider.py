"""The provider of a simulation: replies by the scenario, keeps a journal, and outlives every runner."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapreplace
from math import ceil

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import Charge
from batcher.domain.states import ChargeRule, FaultKind
from batcher.simulate.buckets import Admission, Limiter, Rejected
from tests.simulation.process import Process
from tests.simulation.scenario import NO_BACKEND, OF_ONE_ROW, POISON, Fate, Scenario
from tests.support.providers import UNSENT

#: Fates that may cost an attempt.
SPENDING = frozenset(
    {
        Fate.SERVER_ERROR,
        Fate.PAGE,
        Fate.UNAVAILABLE,
        Fate.ERROR_IN_200,
        Fate.NO_CHOICES,
        Fate.HALF_JSON,
        Fate.CUT,
        Fate.STALE,
        Fate.TIMEOUT,
        Fate.QUEUED,
        # A key or an address that is refused is tried again while others are answered.
        Fate.BAD_KEY,
        Fate.NO_CREDIT,
        Fate.KEY_ROW,
        Fate.UNKNOWN_ROW,
        *NO_BACKEND,
    }
)
FAULTS = {
    Fate.CUT: FaultKind.RESET,
    Fate.STALE: FaultKind.STALE_CONNECTION,
    Fate.TIMEOUT: FaultKind.TIMEOUT,
    Fate.QUEUED: FaultKind.TIMEOUT,
    Fate.UNREACHABLE: FaultKind.REFUSED,
    Fate.LOCAL: FaultKind.LOCAL,
}
#: Decided before the request is read.
AT_THE_DOOR = frozenset({Fate.BAD_KEY, Fate.NO_CREDIT, *NO_BACKEND})
#: Replies that come faster than any answer.
FAST = frozenset({*OF_ONE_ROW, *NO_BACKEND, Fate.SAME_FOR_ALL})
#: Seconds to wait that a 429 gives.
TOLD_S = 4.0


@dataclass(kw_only=True, eq=False)
class Arrival:
    """A request as the provider saw it. Times are loop seconds."""

    number: int
    at: float
    process: Process
    request: int
    send: int
    model: str
    body: bytes
    tokens: float = 0.0
    fate: Fate = Fate.ANSWER
    #: The body of the reply.
    said: bytes = b""
    #: Whether the reply reached the process that asked.
    told: bool = False
    told_at: float = 0.0

    @property
    def name(self) -> tuple[int, int]:
        return self.request, self.send


class SimProvider:
    """One provider and the network in front of it."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._limiters: dict[str, Limiter] = {}
        self._seen: Counter[str] = Counter()
        #: When each of its slots is free, as a heap of loop seconds.
        self._free_at = [0.0] * (scenario.slots or 0)
        self.journal: list[Arrival] = []
        #: The arrivals by their answers.
        self.answers: dict[bytes, Arrival] = {}
        #: Whether faults still occur.
        self.moody = True

    async def exchange(self, process: Process, body: bytes, name: str) -> Reply | TransportFault:
        """Exchange one request of one process. Raises Died if the process dies meanwhile."""
        world, loop = process.world, asyncio.get_running_loop()
        process.step("before a send")
        sent_at, began = process.clock.now(), loop.time()
        spell = self._spell(loop.time())
        said = json.loads(body)
        text = said["messages"][0]["content"]
        if spell is Fate.UNREACHABLE or self._next_fate(text) is Fate.LOCAL:
            fate = Fate.UNREACHABLE if spell is Fate.UNREACHABLE else self._take_fate(text)
            await asyncio.sleep(0.01)
            return self._fault(fate, process.clock.now(), began, sent_at)
        request, send = (int(part) for part in name.rsplit("-", 2)[1:])
        arrival = Arrival(
            number=len(self.journal), at=began, process=process, request=request, send=send,
            model=said["model"], body=body,
        )  # fmt: skip
        self.journal.append(arrival)
        charge = world.watcher.arrived(arrival)
        status, headers, delay = self._judge(arrival, text, spell, charge)
        if text == self._scenario.killer and self.moody:
            process.die()
        process.step("after a send")
        await asyncio.sleep(delay)
        process.step("before a reply")
        arrival.told, arrival.told_at = True, loop.time()
        if arrival.fate in FAULTS:
            return self._fault(arrival.fate, process.clock.now(), began, sent_at)
        world.watcher.told(arrival, headers)
        return Reply(
            status=status,
            headers=headers,
            body=arrival.said,
            sent_at=sent_at,
            ended_at=process.clock.now(),
            latency_us=int((loop.time() - began) * 1e6),
        )

    def _judge(
        self, arrival: Arrival, text: str, spell: Fate | None, charge: Charge
    ) -> tuple[int, Mapping[str, str], float]:
        """Decide the arrival's fate: status, headers and seconds."""
        scenario = self._scenario
        arrival.tokens = charge.input_tokens + charge.output_tokens
        delay = scenario.latency * scenario.random.uniform(0.5, 1.5)
        refusal = self._limit(arrival, spell, charge)
        if isinstance(refusal, Rejected):
            arrival.fate = Fate.REFUSED
            return *_error(arrival, self._when(refusal.retry_after_s)), 0.02
        poisoned = POISON in json.loads(arrival.body) and spell not in AT_THE_DOOR
        arrival.fate = Fate.BAD_REQUEST if poisoned else spell or self._fate_of_all(arrival.model, text)
        match arrival.fate:
            case Fate.ANSWER | Fate.SLOW:
                taken = self._queue(arrival.at, delay + 9.0 * (arrival.fate is Fate.SLOW))
                if taken is None:
                    arrival.fate = Fate.QUEUED
                    return 0, {}, scenario.timeout
                arrival.said = _answer(arrival, text, charge)
                self.answers[arrival.said] = arrival
                return 200, _headers(arrival), taken
            case Fate.TIMEOUT:
                return 0, {}, scenario.timeout
            case Fate.REFUSED | Fate.OVERLOADED:
                return *_error(arrival, self._when(TOLD_S)), 0.02
            case _:
                return *_error(arrival, {}), 0.005 if arrival.fate in FAST else delay

    def _queue(self, now: float, work: float) -> float | None:
        """Return the seconds until an answer, None if the client has hung up before. Its slot is free then."""
        if not self._free_at:
            return work
        start, given_up = max(now, self._free_at[0]), now + self._scenario.timeout
        if start >= given_up:
            return None
        end = start + work
        is_late = start > now and end > given_up
        heapreplace(self._free_at, given_up if is_late else end)
        return None if is_late else end - now

    def _fate_of_all(self, model: str, text: str) -> Fate:
        """Return the fate of a request that no spell decides."""
        if self.moody and model == self._scenario.broken_model:
            return Fate.SAME_FOR_ALL
        alone = self._scenario.refused_alone.get(text) if self.moody else None
        return alone or self._take_fate(text)

    def _spell(self, now: float) -> Fate | None:
        if not self.moody:
            return None
        return next((spell.fate for spell in self._scenario.spells if spell.start <= now < spell.end), None)

    def _next_fate(self, text: str) -> Fate:
        given, seen = self._scenario.fates[text], self._seen[text]
        return given[seen] if self.moody and seen < len(given) else Fate.ANSWER

    def _take_fate(self, text: str) -> Fate:
        fate = self._next_fate(text)
        self._seen[text] += 1
        return fate

    def _limit(self, arrival: Arrival, spell: Fate | None, charge: Charge) -> Admission | None:
        """Apply the limits; a request whose key is rejected is not counted."""
        if spell in AT_THE_DOOR:
            return None
        if arrival.model not in self._limiters:
            self._limiters[arrival.model] = Limiter(self._scenario.limits, burst=1.0, rule=ChargeRule.SUM)
        return self._limiters[arrival.model].admit(arrival.at, charge)

    def _when(self, seconds: float | None) -> dict[str, str]:
        if seconds is None or not self._scenario.names_time:
            return {}
        return {"retry-after-ms": str(ceil(seconds * 1000))}

    def _fault(self, fate: Fate, now: int, began: float, sent_at: int) -> TransportFault:
        kind = FAULTS[fate]
        return TransportFault(
            kind=kind,
            message=fate.value,
            sent_at=sent_at,
            ended_at=now,
            latency_us=int((asyncio.get_running_loop().time() - began) * 1e6),
            sent=kind not in UNSENT,
        )


def _headers(arrival: Arrival) -> dict[str, str]:
    return {"content-type": "application/json", "x-request-id": f"req_{arrival.number}"}


def _answer(arrival: Arrival, text: str, charge: Charge) -> bytes:
    """Return a unique answer, in a JSON spelling that no encoder of ours produces."""
    reply = {
        "id": f"chatcmpl-{arrival.number}",
        "object": "chat.completion",
        "model": arrival.model,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"{text} ✓"}}
        ],
        "usage": {"prompt_tokens": charge.input_tokens, "completion_tokens": 5},
    }
    return json.dumps(reply, separators=(" , ", " :  ")).encode()


ERRORS: dict[Fate, tuple[int, object]] = {
    Fate.SERVER_ERROR: (500, {"error": {"message": "oops", "type": "server_error"}}),
    Fate.PAGE: (502, "<html><body>Bad Gateway</body></html>"),
    Fate.UNAVAILABLE: (503, {"error": {"message": "try again", "type": "service_unavailable_error"}}),
    Fate.ERROR_IN_200: (200, {"error": {"message": "upstream failed", "type": "server_error", "code": 502}}),
    Fate.NO_CHOICES: (200, {"object": "chat.completion", "choices": []}),
    Fate.HALF_JSON: (200, '{"object": "chat.completion", "choi'),
    Fate.REFUSED: (429, {"error": {"message": "Rate limit reached on requests", "code": "rate_limit_exceeded"}}),
    Fate.OVERLOADED: (503, {"error": {"message": "overloaded", "code": "server_is_overloaded"}}),
    Fate.BAD_REQUEST: (400, {"error": {"message": "no", "type": "invalid_request_error", "code": "bad_thing"}}),
    Fate.BAD_KEY: (401, {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}}),
    Fate.NO_CREDIT: (
        429,
        {"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}},
    ),
    Fate.FORBIDDEN_ROW: (403, {"error": {"message": "not this one", "code": "blocked_by_policy"}}),
    Fate.UNKNOWN_ROW: (404, {"error": {"message": "no such prompt", "code": "prompt_not_found"}}),
    Fate.KEY_ROW: (401, {"error": {"message": "not this one", "code": "odd_key"}}),
    Fate.SAME_FOR_ALL: (
        400,
        {"error": {"message": "not with this model", "code": "unsupported_parameter", "param": "max_tokens"}},
    ),
    Fate.NO_BACKEND_PAGE: (404, "<html><body>404 page not found</body></html>"),
    Fate.NO_BACKEND_REDIRECT: (302, ""),
    Fate.NO_BACKEND_NOTHING: (200, ""),
    # A network fault has no body.
    Fate.CUT: (0, ""),
    Fate.STALE: (0, ""),
    Fate.LOCAL: (0, ""),
}


def _error(arrival: Arrival, when: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    status, words = ERRORS[arrival.fate]
    arrival.said = words.encode() if isinstance(words, str) else json.dumps(words).encode()
    kind = {"content-type": "text/html"} if arrival.said.startswith(b"<") else {}
    return status, {**_headers(arrival), **kind, **when}

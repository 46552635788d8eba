"""The provider without a network or a clock: it decides the reply to a request that arrives at a given time.

path, method, key → body → direction → limits → fault or answer
"""

from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from batcher.simulate import problems
from batcher.simulate.answers import DEFAULT_MODELS, Style, answer, model_card, model_list
from batcher.simulate.bodies import PATHS, Body, JsonObject, charge_of, read_body
from batcher.simulate.buckets import Limiter, Rejected
from batcher.simulate.draws import digest, lognormal_factor
from batcher.simulate.faults import Direction, Fault, Manner, changed, direction_of, drawn_fault, fault_of, page
from batcher.simulate.instances import SchemaError
from batcher.simulate.problems import Problem
from batcher.simulate.settings import SimulatedProvider, limits_of

_MODELS = "/v1/models"
_JSON = "application/json"


class Arrival(Struct, frozen=True, kw_only=True):
    """A request as it arrives. `at` is seconds of a monotonic clock."""

    at: float
    method: str
    path: str
    #: The API key that was sent, without `Bearer`.
    key: str | None
    body: bytes


class Plan(Struct, frozen=True, kw_only=True):
    """How to reply to a request: after `delay` seconds, with this reply, transmitted in this manner."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = _JSON
    delay: float = 0.0
    manner: Manner = Manner.WHOLE
    model: str | None = None
    #: Digest of method, path and body.
    digest: bytes
    #: Tokens charged at admission; None: not admitted.
    charged: float | None = None
    #: Output tokens, for `Provider.produced`.
    output_tokens: int = 0


class _Reply(Struct, frozen=True, kw_only=True):
    """The contents of a reply, before its timing is decided."""

    status: int
    body: bytes
    content_type: str = _JSON
    output_tokens: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


class Provider:
    """Decides replies in the order of the calls; keeps the buckets and how often each body was sent."""

    def __init__(self, settings: SimulatedProvider) -> None:
        self._settings = settings
        self._style = Style(output_tokens=settings.output_tokens, chars_per_token=settings.chars_per_token)
        self._limiters: dict[str, Limiter] = {}
        self._arrived: Counter[bytes] = Counter()
        self._admitted: Counter[bytes] = Counter()

    def receive(self, arrival: Arrival) -> Plan:
        """Charge the limits and decide the reply. The answer is built at once, whatever its delay."""
        key = digest(arrival.method.encode(), arrival.path.encode(), arrival.body)
        self._arrived[key] += 1
        problem = _check_request(self._settings, arrival)
        if problem is not None:
            return self._plan(_error_reply(problem), key)
        if arrival.path.startswith(_MODELS):
            return self._plan(self._models(arrival.path), key)
        body = read_body(arrival.path, arrival.body)
        if isinstance(body, Problem):
            return self._plan(_error_reply(body), key)
        return self._judge(arrival.at, body, key)

    def reject(self, problem: Problem) -> Plan:
        """Return the plan for a request whose body could not be read."""
        return self._plan(_error_reply(problem), digest(b"rejected"))

    def produced(self, now: float, plan: Plan) -> None:
        """Charge the output of a plan that was carried out, under the charging rule `produced` only."""
        if plan.model is not None and plan.output_tokens:
            self._limiter(plan.model).produced(now, plan.output_tokens)

    def _judge(self, at: float, body: Body, key: bytes) -> Plan:
        if self._settings.models and body.model not in self._settings.models:
            return self._plan(_error_reply(problems.unknown_model(body.model)), key, model=body.model)
        direction = direction_of(body)
        if isinstance(direction, Problem):
            return self._plan(_error_reply(direction), key, model=body.model)
        return self._admit(at, body, key, direction)

    def _admit(self, at: float, body: Body, key: bytes, direction: Direction) -> Plan:
        limiter = self._limiter(body.model)
        admission = limiter.admit(at, charge_of(body, self._settings.chars_per_token))
        headers = limiter.headers(at) if self._settings.headers else {}
        if isinstance(admission, Rejected):
            problem = problems.rate_limited(body.model, admission, with_retry_after=self._settings.retry_after)
            return self._plan(_error_reply(problem), key, model=body.model, headers=headers)
        seen = self._admitted[key]
        self._admitted[key] += 1
        fault = self._fault(direction, key, seen)
        return msgspec.structs.replace(
            self._plan(self._reply(body, key, fault), key, model=body.model, headers=headers),
            delay=self._latency(key, seen) + fault.hang,
            manner=fault.manner,
            charged=admission.tokens,
        )

    def _fault(self, direction: Direction, key: bytes, seen: int) -> Fault:
        """Return the requested fault, or a random one; a row with directions behaves the same in every run."""
        if direction.asked:
            return fault_of(direction, seen)
        return drawn_fault(self._settings.fail, self._settings.seed, key, seen)

    def _reply(self, body: Body, key: bytes, fault: Fault) -> _Reply:
        if fault.problem is not None:
            return _error_reply(fault.problem)
        if fault.page is not None:
            return _Reply(status=fault.page, body=page(fault.page), content_type="text/html")
        try:
            made = answer(body, key, self._style)
        except SchemaError as error:
            return _error_reply(
                problems.bad_request(f"Invalid schema for response_format: {error}.", code="invalid_schema")
            )
        content = msgspec.json.encode(changed(fault, made.body))
        return _Reply(status=200, body=content, output_tokens=made.output_tokens)

    def _models(self, path: str) -> _Reply:
        known = self._settings.models or tuple(dict.fromkeys((*DEFAULT_MODELS, *self._settings.model_limits)))
        name = path.removeprefix(_MODELS).strip("/")
        if not name:
            return _json_reply(model_list(known))
        if self._settings.models and name not in known:
            return _error_reply(problems.unknown_model(name))
        return _json_reply(model_card(name))

    def _limiter(self, model: str) -> Limiter:
        limiter = self._limiters.get(model)
        if limiter is None:
            settings = self._settings
            limiter = Limiter(limits_of(settings, model), burst=settings.burst, rule=settings.charge)
            self._limiters[model] = limiter
        return limiter

    def _latency(self, key: bytes, seen: int) -> float:
        if self._settings.latency == 0:
            return 0.0
        factor = lognormal_factor(self._settings.latency_sigma, self._settings.seed, key, seen, "latency")
        return self._settings.latency * factor

    def _plan(
        self, reply: _Reply, key: bytes, *, model: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Plan:
        request_id = f"req_{digest(key, b'%d' % self._arrived[key]).hex()}"
        return Plan(
            status=reply.status,
            body=reply.body,
            headers={"x-request-id": request_id, **(headers or {}), **reply.headers},
            content_type=reply.content_type,
            model=model,
            digest=key,
            output_tokens=reply.output_tokens,
        )


def _check_request(settings: SimulatedProvider, arrival: Arrival) -> Problem | None:
    """Validate a request before its body is read: its path, its method and its key."""
    allowed = _allowed(arrival.path)
    if allowed is None:
        return problems.unknown_path(arrival.method, arrival.path)
    if arrival.method != allowed:
        return problems.wrong_method(arrival.method, arrival.path, allowed)
    if settings.api_key is not None and arrival.key != settings.api_key:
        return problems.bad_key(arrival.key)
    return None


def _allowed(path: str) -> str | None:
    """Return the method that a path allows; None if the path is unknown."""
    if path in PATHS:
        return "POST"
    return "GET" if path == _MODELS or path.startswith(f"{_MODELS}/") else None


def _error_reply(problem: Problem) -> _Reply:
    return _Reply(status=problem.status, body=problems.encode(problem), headers=problem.headers)


def _json_reply(body: JsonObject) -> _Reply:
    return _Reply(status=200, body=msgspec.json.encode(body))

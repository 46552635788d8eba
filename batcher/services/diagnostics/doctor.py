"""`batcher doctor`.

Checks everything from the configuration to an answer, one step after the other, and the store.

A check that depends on a failed one is skipped, so the first failure is the one to correct.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

import msgspec
from msgspec import Struct

from batcher.config import check_ca_file, find_headers, find_key, key_header
from batcher.domain.errors import BatcherError, ConfigError
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import RateHints
from batcher.domain.messages import Cause, Words, mapped
from batcher.domain.settings import JobSettings, limits_for
from batcher.policy.classify.retry_after import rate_hints
from batcher.policy.privacy.redact import redact_text
from batcher.policy.urls import host_of
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Clock
from batcher.sender.connect import proxy_of, tls_context
from batcher.sender.connection_check import ConnectionStep, DiagnosticSender, check_connection, host_and_port
from batcher.sender.target import Target, secrets_of
from batcher.services.diagnostics import doctor_replies as replies
from batcher.services.diagnostics.doctor_report import (
    CHECKS,
    Check,
    CheckResult,
    Diagnosis,
    Findings,
    Part,
    bad,
    good,
    skipped,
)
from batcher.services.diagnostics.doctor_store import examine_store
from batcher.services.monitor.status import timestamp

#: Seconds for each of its requests, unless the user gives more.
_PATIENCE = 60.0

T = TypeVar("T")
Simulator = Callable[[], AbstractAsyncContextManager[str]]


class DoctorOptions(Struct, frozen=True, kw_only=True):
    """What a diagnosis needs from the command."""

    #: Returns the settings of a run; raises ConfigError.
    resolve: Callable[[], JobSettings]
    #: Returns the store's path; raises ConfigError.
    store: Callable[[], str]
    #: None: one of the models that the endpoint lists.
    model: str | None = None
    #: Seconds for one request, if the user gave them.
    timeout: float | None = None


async def diagnose(
    options: DoctorOptions, *, environ: Mapping[str, str], clock: Clock, simulator: Simulator
) -> tuple[Diagnosis, Findings]:
    """Run all checks, in the order of CHECKS. Sends two tiny requests, and a third if one must be reworded."""
    examination = _DoctorRun(options, environ, clock)
    async with AsyncExitStack() as stack:
        await examination.run(stack, simulator)
    return examination.diagnosis(), examination.findings()


class _DoctorRun:
    """One run of the checks, and what they have found so far."""

    def __init__(self, options: DoctorOptions, environ: Mapping[str, str], clock: Clock) -> None:
        self._options = options
        self._environ = environ
        self._clock = clock
        self._checks: list[Check] = []
        self._settings: JobSettings | None = None
        self._target: Target | None = None
        self._model = options.model
        self._models: tuple[str, ...] = ()
        self._proxy: str | None = None
        self._hints = RateHints()
        self._secrets: tuple[bytes, ...] = ()
        #: See `ReplyContext`.
        self._key_place = ""

    async def run(self, stack: AsyncExitStack, simulator: Simulator) -> None:
        self._add("config", *_timed(self._config))
        self._add("credentials", *_timed(self._credentials))
        settings, target = self._settings, self._target
        if settings is None:
            self._skip("network", why="config failed")
        else:
            base_url = await stack.enter_async_context(simulator()) if settings.simulate else settings.base_url
            reached = await self._network(settings, base_url)
            if target is None:
                self._skip("models", "request", "rejection", "limits", why="there is no key to send")
            elif reached:
                target = msgspec.structs.replace(target, base_url=base_url)
                sender = await stack.enter_async_context(DiagnosticSender(target, self._clock))
                await self._ask(sender, settings)
        self._skip(*CHECKS[:-1], why="network failed" if settings else "config failed")
        self._add("store", *_timed(self._store))

    def diagnosis(self) -> Diagnosis:
        return Diagnosis(
            ok=all(check.ok is not False for check in self._checks),
            checks=tuple(self._checks),
            checked_at=timestamp(self._clock.now()) or "",
            base_url=None if self._settings is None else shown_base_url(self._settings.base_url),
            model=self._model,
            models=self._models,
        )

    def findings(self) -> Findings:
        return Findings(settings=self._settings, hints=self._hints, proxy=self._proxy)

    def _config(self) -> CheckResult:
        try:
            settings = self._options.resolve()
            check_ca_file(settings.ca_file)
            if settings.base_url.startswith("https:"):
                tls_context(settings.ca_file)
            proxy = None if settings.simulate else proxy_of(settings.base_url)
        except ConfigError as error:
            return _failed(error)
        self._settings = settings
        facts = [f"base URL {shown_base_url(settings.base_url)}", f"key variable {settings.api_key_env}"]
        if settings.ca_file is not None:
            facts.append(f"certificates of {settings.ca_file}")
        if proxy is not None:
            self._proxy = host_and_port(proxy)
            facts.append(f"proxy {self._proxy}")
        return good("; ".join(facts))

    def _credentials(self) -> CheckResult:
        settings = self._settings
        if settings is None:
            return skipped("config failed")
        try:
            key, headers = find_key(settings, self._environ), find_headers(settings, self._environ)
        except ConfigError as error:
            return _failed(error)
        self._target = Target(
            base_url=settings.base_url,
            key=key,
            headers=headers,
            timeout=self._options.timeout or min(settings.timeout, _PATIENCE),
            ca_file=settings.ca_file,
            use_proxy=not settings.simulate,
        )
        self._secrets = secrets_of(self._target)
        carrier = key_header(headers) if key is None else None
        if carrier is not None:
            self._key_place = f"{settings.headers[carrier]}, which holds the header {carrier}"
        facts = [
            f"a key is in {settings.api_key_env}" if key is not None else "no key is sent; none is needed here"
        ]
        facts += [f"{header} is in {settings.headers[header]}" for header in headers]
        return good("; ".join(facts))

    async def _network(self, settings: JobSettings, base_url: str) -> bool:
        """Check dns, tcp and tls; returns whether requests can be sent."""
        began = time.perf_counter()
        steps = await asyncio.to_thread(
            check_connection, base_url, ca_file=settings.ca_file, use_proxy=not settings.simulate
        )
        parts = tuple(self._part(step) for step in steps)
        failed = next((part for part in parts if part.ok is False), None)
        evidence = failed.evidence if failed else "; ".join(f"{part.name}: {part.evidence}" for part in parts)
        result = CheckResult(ok=failed is None, evidence=evidence, fix=failed.fix if failed else None)
        self._add("network", result, _since(began), parts=parts)
        return failed is None

    async def _ask(self, sender: DiagnosticSender, settings: JobSettings) -> None:
        """Check models, request, rejection and limits."""
        listed, seconds = await _timed_async(self._list(sender, host_of(settings.base_url)))
        self._add("models", listed.check, seconds)
        self._models = listed.models
        self._model = self._model or replies.choose_model(listed.models)
        if listed.ends_here:
            self._skip("request", "rejection", "limits", why="models failed")
        elif self._model is None:
            self._skip("request", "rejection", "limits", why=Cause.NO_MODEL_KNOWN())
        else:
            await self._ask_model(sender, self._model, settings)

    async def _ask_model(self, sender: DiagnosticSender, model: str, settings: JobSettings) -> None:
        host = host_of(settings.base_url)
        result, seconds = await _timed_async(self._tiny(sender, model))
        answered = replies.read_request(result, model, host=host, key_place=self._key_place)
        self._add("request", answered, seconds)
        if isinstance(result, TransportFault):
            self._skip("rejection", "limits", why="request got no reply")
            return
        if answered.ok:
            refused, seconds = await _timed_async(self._send(sender, {"model": model}))
            rejection = replies.read_rejection(refused, host=host, key_place=self._key_place)
            self._add("rejection", rejection, seconds)
        self._skip("rejection", why="request failed")
        self._hints = rate_hints(result.headers, host=host)
        self._add("limits", replies.read_limits(self._hints, limits_for(settings, model)), 0.0)

    async def _list(self, sender: DiagnosticSender, host: str) -> replies.ModelList:
        listed = await sender.get(replies.MODELS)
        return replies.read_models(listed, self._options.model, host=host, key_place=self._key_place)

    async def _tiny(self, sender: DiagnosticSender, model: str) -> Reply | TransportFault:
        """Send the smallest request.

        Reasoning models name its limit differently, and may need a few more tokens.
        """
        tiny = {"model": model, "messages": [{"role": "user", "content": "Say ok."}]}
        result = await self._send(sender, {**tiny, "max_tokens": 1})
        if not replies.wants_other_limit(result):
            return result
        return await self._send(sender, {**tiny, "max_completion_tokens": 16})

    async def _send(self, sender: DiagnosticSender, body: Mapping[str, object]) -> Reply | TransportFault:
        return await sender.send(
            path=replies.CHAT, body=msgspec.json.encode(body), client_request_id=f"doctor-{uuid.uuid4()}"
        )

    def _store(self) -> CheckResult:
        try:
            return examine_store(self._options.store())
        except BatcherError as error:
            return _failed(error)

    def _add(self, name: str, result: CheckResult, seconds: float, *, parts: tuple[Part, ...] = ()) -> None:
        self._checks.append(
            Check(
                name=name,
                ok=result.ok,
                seconds=seconds,
                evidence=self._redacted(result.evidence),
                fix=None if result.fix is None else self._redacted(result.fix),
                parts=parts,
            )
        )

    def _redacted(self, words: Words) -> Words:
        return mapped(words, lambda text: redact_text(text, self._secrets))

    def _skip(self, *names: str, why: Words) -> None:
        """Mark those of the checks as skipped that have no result yet."""
        done = {check.name for check in self._checks}
        for name in names:
            if name not in done:
                self._add(name, skipped(why), 0.0)

    def _part(self, step: ConnectionStep) -> Part:
        fix = replies.fix_for_fault(step.fault) if step.ok is False else None
        evidence = redact_text(step.evidence, self._secrets)
        return Part(name=step.name, ok=step.ok, seconds=step.seconds, evidence=evidence, fix=fix)


def _failed(error: BatcherError) -> CheckResult:
    return bad(error.message, error.hint or Cause.SEE_SETTINGS())


def _timed(check: Callable[[], CheckResult]) -> tuple[CheckResult, float]:
    began = time.perf_counter()
    result = check()
    return result, _since(began)


async def _timed_async(awaited: Awaitable[T]) -> tuple[T, float]:
    began = time.perf_counter()
    result = await awaited
    return result, _since(began)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)

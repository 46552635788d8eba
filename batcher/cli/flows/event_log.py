"""The log: one line per event, as text or JSON, to stderr or a file. It never contains a key or prompt text."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import msgspec

from batcher.cli.params.session import Session
from batcher.cli.terminal.messages import words
from batcher.config.table import LOG_FILE, LOG_FORMAT
from batcher.domain.errors import UsageError
from batcher.domain.events import (
    AttemptEnded,
    BreakerChanged,
    DrainStarted,
    Event,
    JobFinished,
    LaneCooling,
    RequestsSettled,
    SendingPaused,
)
from batcher.files.writing import append_to
from batcher.policy.privacy.sanitize import one_line, sanitize_json
from batcher.ports import Clock
from batcher.services.monitor.status import timestamp

_MAX_LINE_LENGTH = 400


class Log:
    """Writes events as lines; without `verbose` only failures, cool-downs, pauses, outages and drains."""

    def __init__(self, file: IO[str] | None, *, clock: Clock, as_json: bool, verbose: bool) -> None:
        #: None: `sys.stderr`, looked up for each line, because a live display replaces it.
        self._file = file
        self._clock = clock
        self._as_json = as_json
        self._verbose = verbose

    def emit(self, event: Event) -> None:
        """Write one line, if events of this kind are logged."""
        if isinstance(event, RequestsSettled) or not (self._verbose or _is_problem(event)):
            return
        record = _record(event)
        record = {"time": timestamp(self._clock.now()), **record}
        if self._as_json:
            line = sanitize_json(msgspec.json.encode(record)).decode()
        else:
            line = " ".join(f"{name}={value}" for name, value in record.items() if value is not None)
            line = one_line(line.removeprefix("time="), _MAX_LINE_LENGTH)
        # A full disk or a closed terminal must not end the run: the line is lost.
        with suppress(OSError):
            file = self._file or sys.stderr
            file.write(line + "\n")
            file.flush()


@contextmanager
def open_log(session: Session, clock: Clock) -> Iterator[Log | None]:
    """Open the log that the options ask for, else yield None. Raises UsageError if it cannot be written."""
    as_json = session.log_format == "json"
    if session.log_file is None:
        is_wanted = session.verbose or LOG_FORMAT.name in session.given
        yield Log(None, clock=clock, as_json=as_json, verbose=bool(session.verbose)) if is_wanted else None
        return
    try:
        file = append_to(session.log_file)
    except OSError as error:
        hint = f"name another file with {LOG_FILE.flag}"
        raise UsageError(f"cannot write the log file {session.log_file}: {error.strerror}", hint=hint) from error
    try:
        yield Log(file, clock=clock, as_json=as_json, verbose=True)
    finally:
        with suppress(OSError):
            file.close()


def _is_problem(event: Event) -> bool:
    if isinstance(event, AttemptEnded):
        return event.kind != "success"
    return not isinstance(event, RequestsSettled | JobFinished)


def _record(event: Event) -> dict[str, Any]:
    match event:
        case AttemptEnded():
            return {
                "event": "attempt",
                "job": event.job_id,
                "line": event.line,
                "custom_id": event.custom_id,
                "attempt": event.send,
                "model": event.lane.model,
                "status": event.status,
                "kind": event.kind,
                "code": event.code,
                "message": event.message,
                "provider_request_id": event.provider_request_id,
                "latency_seconds": event.latency_us / 1e6,
                "input_tokens": event.input_tokens,
                "output_tokens": event.output_tokens,
            }
        case LaneCooling():
            until = timestamp(event.until)
            return {
                "event": "cooling",
                "model": event.lane.model,
                "until": until,
                "code": event.code,
                "named": event.named,
            }
        case SendingPaused():
            cause = event.cause
            return {
                "event": "paused",
                "scope": cause.scope,
                "reason": cause.reason,
                "message": words(cause.message),
            }
        case BreakerChanged():
            state = "outage" if event.open else "recovered"
            return {"event": state, "endpoint": event.endpoint, "message": event.message}
        case DrainStarted():
            return {"event": "drain", "in_flight": event.in_flight, "deadline_seconds": event.deadline}
        case JobFinished():
            return {"event": "finished", "job": event.job_id}
        case _:
            raise AssertionError(event)

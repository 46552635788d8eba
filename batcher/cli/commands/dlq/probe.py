"""`batcher dlq retry --probe`: send the smallest dead letter first, and requeue the others if it is answered."""

import os

from batcher.app import make_parts, run
from batcher.cli.commands.dlq.retry import say_retried
from batcher.cli.flows import event_log, signals
from batcher.cli.flows.submit import check_credentials
from batcher.cli.params.session import Session
from batcher.cli.terminal.errors import DEAD_LETTERS, PAUSED
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import note, number, say
from batcher.domain.states import RequestState, ShownState
from batcher.policy.privacy.sanitize import one_line
from batcher.ports import Store
from batcher.services.dead_letters.probe import ProbePlan, ProbeResult, pick, send
from batcher.services.dead_letters.retry import RetryPlan
from batcher.services.monitor.changes import Changes
from batcher.services.runs.run import Parts, RunControl

_MAX_TEXT_LENGTH = 300


def probe_first(database: Store, chosen: RetryPlan, session: Session) -> int:
    """Send one dead letter and print its outcome; return the exit code.

    Raises UsageError or ConfigError before anything is changed.
    """
    parts = make_parts()
    probe = pick(database, chosen)
    check_credentials(probe.job.settings, os.environ)
    request = probe.request
    of = f", the smallest of {number(len(chosen.ids))}," if probe.others else ""
    custom_id = one_line(request.custom_id, _MAX_TEXT_LENGTH)
    note(f"request {request.request} (job {request.job}, line {request.line}, {custom_id}){of} is sent first")
    with event_log.open_log(session, parts.clock) as log:
        probed, code = run(_send(database, probe, chosen, parts, log))
    outcome_code = _say(probe, probed)
    return outcome_code if code is None or probed.was_answered else code


async def _send(
    database: Store, probe: ProbePlan, chosen: RetryPlan, parts: Parts, log: event_log.Log | None
) -> tuple[ProbeResult, int | None]:
    """Send the probe; return its outcome and the exit code of the signal that interrupted it, None if none did."""
    control = RunControl()
    with signals.drain_on_signals(control) as interruption:
        probed = await send(
            database,
            probe,
            chosen,
            parts,
            events=Changes(log),
            control=control,
            handed_over=lambda pid: note(
                f"another runner (pid {pid}) is using this store; it will send the request"
            ),
        )
    return probed, interruption.exit_code


def _say(probe: ProbePlan, probed: ProbeResult) -> int:
    """Print the outcome; return the exit code, which a signal overrides."""
    match probed.request.state:
        case RequestState.COMPLETED:
            _say_answered(probe, probed)
            return 0
        case RequestState.DEAD_LETTERED:
            _say_failed(probed)
            code = DEAD_LETTERS
        case RequestState.PENDING | RequestState.CLAIMED | RequestState.CANCELLED:
            _say_open(probed)
            code = PAUSED if probed.job.state is ShownState.PAUSED else DEAD_LETTERS
    if probe.others:
        others = "1 other is" if probe.others == 1 else f"{number(probe.others)} others are"
        say(f"the {others} not requeued")
    return code


def _say_answered(probe: ProbePlan, probed: ProbeResult) -> None:
    request = probed.request
    last = request.history[-1] if request.attempts > probe.request.attempts else None
    if last is None:
        say(f"request {request.request} shares the answer of a row with the same body; nothing was sent")
    else:
        took = "" if last.latency_seconds is None else f" in {last.latency_seconds:.2f} s"
        tokens = f"{number(last.tokens.input or 0)} tokens in, {number(last.tokens.output or 0)} out"
        say(f"request {request.request} was answered{took} ({tokens})")
    if probed.retried is not None and probed.retried.count:
        say_retried(probed.retried)
    if probed.retried is None or request.job not in probed.retried.jobs:
        say(f"next: batcher results {request.job}")


def _say_failed(probed: ProbeResult) -> None:
    request = probed.request
    status = "" if request.status is None else f"{request.status} "
    message = one_line(request.message, _MAX_TEXT_LENGTH)
    say(f"request {request.request} failed again: {status}{request.code}: {message}")
    say(f"→ {words(request.advice or '')}")
    say(f"next: batcher dlq show {request.request}")


def _say_open(probed: ProbeResult) -> None:
    request, paused = probed.request, probed.job.paused
    say(f"request {request.request} was not answered; it is {request.state}")
    if paused is not None:
        say(f"paused: {words(paused['message'])}")
        say(f"  → {words(paused['fix'])}")
    if request.state is not RequestState.CANCELLED:
        say(f"next: batcher resume {request.job}")

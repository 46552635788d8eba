"""The budgets of a process: each lane's gate, and the limits that it keeps."""

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from batcher.budget.blockers import BlockReason
from batcher.budget.concurrency_slots import Slots
from batcher.budget.cooling import Cooling
from batcher.budget.daily_quota import Day
from batcher.budget.lane_gate import RECENT_S, LaneGate
from batcher.budget.limiter import RateLimiter
from batcher.budget.limits import LaneLimits
from batcher.budget.reservation import GateReservation
from batcher.domain.feedback import Feedback, Finished
from batcher.domain.lanes import Charge, KnownLimits, LaneKey, LaneMemory, LaneView, RateHints, TokenLimit
from batcher.domain.settings import Limits
from batcher.domain.states import RequestEnd
from batcher.policy.rate.token_bucket import Pace, is_same_limit, requests_pace, tokens_pace
from batcher.policy.tokens.oversized import is_never_admitted
from batcher.ports import Clock, Reservation

_DAY_S = 86_400.0
#: Seconds of tolerance, because the same moment differs by µs if it is computed again later.
_DAY_SLACK_S = 0.001
_NOTHING_FOLLOWS: Final = Finished()


class LaneBudget(Struct, eq=False):
    """A lane's gate, the limits that it should keep, and those that it keeps now."""

    gate: LaneGate
    limits: LaneLimits
    applied: KnownLimits = KnownLimits()


class LaneBudgets:
    """`ports.Budget` for the lanes of one process, in memory. All on one event loop."""

    def __init__(self, clock: Clock, *, most_in_flight: int | None, most_open: int | None = None) -> None:
        """Make the budgets. `most_open`: for how many connections this process has descriptors."""
        self._clock = clock
        self._slots = Slots(most_in_flight, most_open)
        self._lanes: dict[LaneKey, LaneBudget] = {}

    def open_lane(
        self,
        lane: LaneKey,
        limits: Limits,
        *,
        cooling_until: int | None,
        memory: LaneMemory = LaneMemory(),  # noqa: B008 - frozen
    ) -> None:
        """Register a lane, or change the limits given for it; announced limits and requests in flight are kept."""
        known = self._lanes.get(lane)
        if known is None:
            announced = replace(memory.limits, learned_rpm=None, day_until=None)
            known = self._lanes[lane] = LaneBudget(
                LaneGate(lane, self._slots, memory, Day(memory.day, self._clock, _loop_time())),
                LaneLimits(limits, announced),
            )
        known.limits.given = limits
        _apply(known)
        self._hold_again(known.gate.cooling, cooling_until or 0, memory.limits.day_until or 0)

    def _hold_again(self, cooling: Cooling, until_us: int, day_until: int) -> None:
        """Restore a cool-down of an earlier run, and a hold for the day. If they coincide, it is the day's."""
        day_us = 1_000_000 * day_until
        left_us = max(until_us, day_us) - self._clock.now()
        if left_us > 0:
            cooling.hold_until(_loop_time() + left_us / 1e6, is_daily=day_us >= until_us)

    def close_lane(self, lane: LaneKey) -> None:
        """See `ports.Budget`."""
        self._lanes.pop(lane, None)

    def memory(self, lane: LaneKey) -> LaneMemory:
        """Return what the next run should know."""
        known = self._lane(lane)
        gate = known.gate
        return LaneMemory(
            limits=replace(
                known.limits.announced, learned_rpm=_learned_rpm(gate), day_until=self._day_until(gate.cooling)
            ),
            charging=gate.tokens.charging(),
            day=gate.day.use(_loop_time()),
            # If a rate is known it governs, and the level only follows.
            level=gate.level.target if known.applied == KnownLimits() else None,
        )

    def _day_until(self, cooling: Cooling) -> int | None:
        """Return it in whole seconds, because every change is written to the store."""
        if not cooling.is_daily or cooling.until <= _loop_time():
            return None
        return ceil(self._in_utc(cooling.until) / 1e6 + _DAY_SLACK_S)

    def never_fits(self, lane: LaneKey, charge: Charge) -> TokenLimit | None:
        """See `ports.Budget`: only limits that are certain count."""
        known = self._lane(lane)
        if not charge.bounded or known.applied.tpm is None or charge.output_tokens <= known.applied.tpm:
            return None
        limit = known.limits.certain_tpm()
        charges_maximum = known.gate.tokens.charges_maximum
        is_over = is_never_admitted(charge.output_tokens, limit, charges_maximum=charges_maximum)
        return limit if is_over else None

    async def reserve(self, lane: LaneKey, charge: Charge) -> Reservation:
        """Wait for the lane's turn, then take. Several tasks are served in the order in which they came."""
        gate = self._lane(lane).gate
        return gate.try_to_enter(charge) or await gate.enter(charge)

    def cancel(self, reservation: Reservation) -> None:
        """Give everything back for the next request. A second call does nothing."""
        place = _place(reservation)
        if place.held:
            self._lane(place.lane).gate.cancel(place)

    def finish(self, reservation: Reservation, feedback: Feedback) -> Finished:
        """See `ports.Budget`. A second call does nothing.

        The place is given back first, so that what follows is about its request: that separates an old refusal
        from a new one, and assigns a reading of the headers to its request.
        """
        place = _place(reservation)
        if not place.held:
            return _NOTHING_FOLLOWS
        known = self._lane(place.lane)
        gate = known.gate
        if feedback.end is RequestEnd.TOO_LARGE:
            gate.cancel(place)
        else:
            gate.come_back(place, feedback.usage)
        if feedback.end is RequestEnd.ANSWERED:
            gate.answered()
            self._slots.answered(_loop_time())
            finished = _NOTHING_FOLLOWS
        else:
            finished = self._after(gate, feedback)
        if feedback.hints is not None:
            _adopt_hints(known, feedback.hints)
        return finished

    def _after(self, gate: LaneGate, feedback: Feedback) -> Finished:
        match feedback.end:
            case RequestEnd.NO_DESCRIPTOR:
                self._slots.ran_out(_loop_time())
            case RequestEnd.TIMED_OUT:
                return Finished(queued=gate.timed_out())
            case RequestEnd.REFUSED:
                gate.refused(feedback)
                return Finished(cooling_until=self._in_utc(max(gate.cooling.until, _loop_time())))
            case RequestEnd.ANSWERED | RequestEnd.TOO_LARGE | RequestEnd.FAILED:
                pass
            case _:
                assert_never(feedback.end)
        return _NOTHING_FOLLOWS

    def counts_days(self, lane: LaneKey) -> bool:
        """See `ports.Budget`."""
        limits = self._lane(lane).gate.day.limits
        return limits.requests is not None or limits.tokens is not None

    def restart(self, lane: LaneKey) -> None:
        """See `ports.Budget`."""
        self._lane(lane).gate.restart()

    def adopt_hints(self, lane: LaneKey, hints: RateHints) -> None:
        """Adopt the limits that reply headers announce, and learn from the remaining amounts that they state."""
        _adopt_hints(self._lane(lane), hints)

    def held_for(self, lane: LaneKey) -> float:
        """See `ports.Budget`. The day counts only if no reply is due, since one may show that there is room."""
        gate = self._lane(lane).gate
        cooling_s, day_until = gate.cooling.until - _loop_time(), gate.day.until
        if day_until is None or gate.in_flight:
            return max(0.0, cooling_s)
        return max(0.0, cooling_s, (day_until - self._clock.now()) / 1e6)

    def view(self, lane: LaneKey) -> LaneView:
        """The lane as `status` shows it."""
        known = self._lane(lane)
        gate, now = known.gate, _loop_time()
        why = gate.held_by(now, recent_s=RECENT_S)
        learned = _learned_rpm(gate) if gate.requests is None else None
        return LaneView(
            key=lane,
            rpm=known.applied.rpm or learned,
            tpm=known.applied.tpm or known.applied.input_tpm,
            source=known.limits.source(),
            binding=_binding(why),
            utilization=self._utilization(known, why, now),
            in_flight=gate.in_flight,
            cooling_until=self._held_until(gate, now),
        )

    def _held_until(self, gate: LaneGate, now: float) -> int | None:
        """Return the end of a cool-down, or of an exhausted daily quota, in UTC microseconds."""
        cooling = self._in_utc(gate.cooling.until) if gate.cooling.until > now else None
        used_up = gate.day.until
        day = used_up if used_up is not None and used_up > self._clock.now() else None
        return max((each for each in (cooling, day) if each is not None), default=None)

    def _utilization(self, lane: LaneBudget, why: BlockReason | None, now: float) -> float | None:
        share = self._share_of(lane, why, now)
        return None if share is None else min(1.0, share)

    def _share_of(self, lane: LaneBudget, why: BlockReason | None, now: float) -> float | None:
        gate, tokens = lane.gate, lane.gate.tokens
        shares = {
            BlockReason.RPM: _share(gate.requests, lane.applied.rpm, now),
            BlockReason.TPM: _share(tokens.total, lane.applied.tpm, now),
            BlockReason.INPUT_TPM: _share(tokens.input, lane.applied.input_tpm, now),
            BlockReason.OUTPUT_TPM: _share(tokens.output, lane.applied.output_tpm, now),
        }
        match why:
            case BlockReason.LEVEL:
                return gate.in_flight / gate.most
            case BlockReason.PROCESS:
                return self._slots.share()
            case BlockReason.LEARNED:
                return gate.blind.utilization(now)
            case BlockReason.RPM | BlockReason.TPM | BlockReason.INPUT_TPM | BlockReason.OUTPUT_TPM:
                return shares[why]
            case BlockReason.PROVIDER | BlockReason.DAY | None:
                return max((share for share in shares.values() if share is not None), default=None)

    def _lane(self, lane: LaneKey) -> LaneBudget:
        try:
            return self._lanes[lane]
        except KeyError:
            raise LookupError(f"{lane} has no budget yet: call open_lane first") from None

    def _in_utc(self, at: float) -> int:
        """Convert loop time to UTC microseconds, rounded up so that a waiter is never early."""
        return self._clock.now() + ceil((at - _loop_time()) * 1e6)


def _adopt_hints(lane: LaneBudget, hints: RateHints) -> None:
    if lane.limits.adopt_hints(hints):
        _apply(lane)
    lane.gate.observe(hints)
    if hints.rpd and hints.remaining_requests_day == 0:
        # A bucket refills one request after its share of the day; a window states when in its refusal.
        lane.gate.hold_for_the_day(_DAY_S / hints.rpd)


def _apply(lane: LaneBudget) -> None:
    """Replace the limiters whose limit has changed with new, empty ones, and wake the gate."""
    kept, before, gate = lane.limits.kept(), lane.applied, lane.gate
    tokens = gate.tokens
    gate.requests = _kept(gate.requests, before.rpm, kept.rpm, requests_pace)
    tokens.limit(
        _kept(tokens.total, before.tpm, kept.tpm, tokens_pace),
        _kept(tokens.input, before.input_tpm, kept.input_tpm, tokens_pace),
        _kept(tokens.output, before.output_tpm, kept.output_tpm, tokens_pace),
    )
    lane.applied = KnownLimits(
        rpm=_in_force(before.rpm, kept.rpm),
        tpm=_in_force(before.tpm, kept.tpm),
        input_tpm=_in_force(before.input_tpm, kept.input_tpm),
        output_tpm=_in_force(before.output_tpm, kept.output_tpm),
    )
    is_another_day = gate.day.keep(lane.limits.a_day())
    if before == KnownLimits() != lane.applied:
        gate.forget_level()
    if lane.applied != before or is_another_day:
        gate.recheck()


def _in_force(before: float | None, now: float | None) -> float | None:
    return before if is_same_limit(before, now) else now


def _kept(
    dimension: RateLimiter | None, before: float | None, limit: float | None, pace: Callable[[float], Pace]
) -> RateLimiter | None:
    """Return the limiter itself if its limit is the same, else a new, empty one that keeps the old one's debt."""
    if is_same_limit(before, limit):
        return dimension
    now = _loop_time()
    debt = 0.0 if dimension is None else dimension.debt(now)
    return None if limit is None else RateLimiter(pace(limit), now=now, debt=debt)


def _learned_rpm(gate: LaneGate) -> float | None:
    """Return the estimated request rate, rounded, because every change is written to the store."""
    estimate = gate.blind.estimate
    return None if estimate is None else float(f"{60.0 * estimate:.3g}")


def _share(dimension: RateLimiter | None, limit: float | None, now: float) -> float | None:
    if dimension is None or limit is None:
        return None
    return dimension.use(now) / (limit / 60.0)


def _binding(why: BlockReason | None) -> str:
    """Return the word that `status` shows."""
    match why:
        case None:
            return "input"
        case BlockReason.PROCESS | BlockReason.LEVEL:
            return "concurrency"
        case BlockReason.LEARNED:
            return BlockReason.RPM.value
        case (
            BlockReason.PROVIDER
            | BlockReason.DAY
            | BlockReason.RPM
            | BlockReason.TPM
            | BlockReason.INPUT_TPM
            | BlockReason.OUTPUT_TPM
        ):
            return why.value


def _place(reservation: Reservation) -> GateReservation:
    if not isinstance(reservation, GateReservation):
        raise TypeError(f"not a reservation of this budget: {reservation!r}")
    return reservation


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

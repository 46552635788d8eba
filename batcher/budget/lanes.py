"""The budgets of a process: every lane's gate, and the limits it keeps."""

import asyncio
from collections.abc import Callable
from math import ceil

from msgspec import Struct

from batcher.budget.dimension import Dimension
from batcher.budget.gate import Gate, Place, Why
from batcher.budget.limits import LaneLimits
from batcher.budget.slots import Slots
from batcher.domain.lanes import Charge, LaneKey, LaneView, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule
from batcher.policy.admission import Pace, is_same_limit, requests_pace, tokens_charged, tokens_pace
from batcher.ports import Clock, Reservation

#: Seconds for which what held the last request back still counts as what binds.
RECENT_S = 1.0


class Lane(Struct, eq=False):
    """A lane's gate, the limits it is to keep, and those it keeps now."""

    gate: Gate
    limits: LaneLimits
    applied: Limits = Limits()


class LaneBudgets:
    """`ports.Budget` for the lanes of one process, in memory.

    For each request that was sent the caller tells `reconcile` first, and then, before anything else of that lane,
    `answered` or `cool_down` where it applies: so an old refusal is told from news. All on one event loop.
    """

    def __init__(self, clock: Clock, *, most_in_flight: int | None) -> None:
        self._clock = clock
        self._slots = Slots(most_in_flight)
        self._lanes: dict[LaneKey, Lane] = {}

    def open_lane(self, lane: LaneKey, limits: Limits, *, cooling_until: int | None) -> None:
        """Make a lane known, or change its given limits; what was announced and what is in flight stay."""
        known = self._lanes.get(lane)
        if known is None:
            known = self._lanes[lane] = Lane(Gate(lane, self._slots), LaneLimits(limits))
        known.limits.given = limits
        _apply(known)
        left_us = 0 if cooling_until is None else cooling_until - self._clock.now()
        if left_us > 0:
            known.gate.cooling.hold_until(_loop_time() + left_us / 1e6)

    async def reserve(self, lane: LaneKey, charge: Charge) -> Reservation:
        """Wait for the lane's turn, then take. Several tasks are served in the order in which they came."""
        gate = self._lane(lane).gate
        return await gate.enter(tokens_charged(charge, gate.rule))

    def cancel(self, reservation: Reservation) -> None:
        """Give everything back; the next request has it. A second time does nothing."""
        place = _place(reservation)
        if place.held:
            self._lane(place.lane).gate.cancel(place)

    def reconcile(self, reservation: Reservation, usage: Usage | None) -> None:
        """Free the place in flight; under `produced` correct the tokens by `usage`. Twice does nothing."""
        place = _place(reservation)
        if place.held:
            self._lane(place.lane).gate.come_back(place, usage)

    def answered(self, lane: LaneKey) -> None:
        """A success: the level may grow, and our own waits start small again."""
        self._lane(lane).gate.answered()

    def heed(self, lane: LaneKey, hints: RateHints) -> None:
        """Adopt what reply headers say of requests and tokens a minute; the other fields are not used here."""
        known = self._lane(lane)
        known.limits.heed(hints)
        _apply(known)

    def cool_down(self, lane: LaneKey, *, wait_us: int | None, jitter: float, restart_ramp: bool) -> int:
        """Hold the lane; a wait of 0 or less names no time. Returns the end in UTC microseconds."""
        gate = self._lane(lane).gate
        told_s = wait_us / 1e6 if wait_us is not None and wait_us > 0 else None
        gate.refused(told_s=told_s, jitter=jitter, restart_ramp=restart_ramp)
        return self._in_utc(max(gate.cooling.until, _loop_time()))

    def set_charge_rule(self, lane: LaneKey, rule: ChargeRule) -> None:
        """How the provider charges tokens. What is in flight keeps what it took."""
        self._lane(lane).gate.rule = rule

    def view(self, lane: LaneKey) -> LaneView:
        """The lane as `status` shows it."""
        known = self._lane(lane)
        gate, now = known.gate, _loop_time()
        why = gate.held_by(now, recent_s=RECENT_S)
        return LaneView(
            key=lane,
            rpm=known.applied.rpm,
            tpm=known.applied.tpm,
            source=known.limits.source(),
            binding=_binding(why),
            utilization=self._utilization(known, why, now),
            in_flight=gate.in_flight,
            cooling_until=self._in_utc(gate.cooling.until) if gate.cooling.until > now else None,
        )

    def _utilization(self, lane: Lane, why: Why | None, now: float) -> float | None:
        gate = lane.gate
        requests = _share(gate.requests, lane.applied.rpm, now)
        tokens = _share(gate.tokens, lane.applied.tpm, now)
        match why:
            case Why.RPM:
                share = requests
            case Why.TPM:
                share = tokens
            case Why.LEVEL:
                share = gate.in_flight / gate.most
            case Why.PROCESS:
                share = self._slots.share()
            case Why.PROVIDER | None:
                share = max((known for known in (requests, tokens) if known is not None), default=None)
        return None if share is None else min(1.0, share)

    def _lane(self, lane: LaneKey) -> Lane:
        try:
            return self._lanes[lane]
        except KeyError:
            raise LookupError(f"{lane} has no budget yet: open_lane comes first") from None

    def _in_utc(self, at: float) -> int:
        """Loop time as UTC microseconds, rounded up: nobody who waits for it is early."""
        return self._clock.now() + ceil((at - _loop_time()) * 1e6)


def _apply(lane: Lane) -> None:
    """Remake the dimensions whose limit is another than the one in force, drained, and let the gate look again."""
    kept, applied, gate, now = lane.limits.kept(), lane.applied, lane.gate, _loop_time()
    if not is_same_limit(kept.rpm, applied.rpm):
        gate.requests = _remade(gate.requests, kept.rpm, requests_pace, now)
        applied = Limits(rpm=kept.rpm, tpm=applied.tpm)
    if not is_same_limit(kept.tpm, applied.tpm):
        gate.tokens = _remade(gate.tokens, kept.tpm, tokens_pace, now)
        applied = Limits(rpm=applied.rpm, tpm=kept.tpm)
    if applied is not lane.applied:
        lane.applied = applied
        gate.look_again()


def _remade(
    old: Dimension | None, limit: float | None, pace: Callable[[float], Pace], now: float
) -> Dimension | None:
    debt = 0.0 if old is None else old.debt(now)
    return None if limit is None else Dimension(pace(limit), now=now, debt=debt)


def _share(dimension: Dimension | None, limit: float | None, now: float) -> float | None:
    if dimension is None or limit is None:
        return None
    return dimension.use(now) / (limit / 60.0)


def _binding(why: Why | None) -> str:
    """The word `status` uses."""
    match why:
        case None:
            return "input"
        case Why.PROCESS | Why.LEVEL:
            return "concurrency"
        case Why.PROVIDER | Why.RPM | Why.TPM:
            return why.value


def _place(reservation: Reservation) -> Place:
    if not isinstance(reservation, Place):
        raise TypeError(f"not a reservation of this budget: {reservation!r}")
    return reservation


def _loop_time() -> float:
    return asyncio.get_running_loop().time()

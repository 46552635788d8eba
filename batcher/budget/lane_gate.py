"""The gate of one lane: which request may be sent, and when."""

import asyncio
from math import ceil, inf

from batcher.budget.blockers import Blocker, BlockReason
from batcher.budget.concurrency_search import ConcurrencySearch
from batcher.budget.concurrency_slots import Slots
from batcher.budget.cooling import Cooling, Probe
from batcher.budget.daily_quota import Day
from batcher.budget.limiter import RateLimiter
from batcher.budget.rate_search import PaceSearch
from batcher.budget.reservation import GateReservation
from batcher.budget.tokens import TokenBudget
from batcher.domain.feedback import Feedback
from batcher.domain.lanes import Charge, LaneKey, LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.states import RefusalCause
from batcher.policy.rate.charging import Need
from batcher.policy.rate.rate_search import Refusal
from batcher.policy.rate.token_bucket import (
    FIRST_LEVEL,
    MOST_PACED,
    PROBE_PATIENCE_S,
    Level,
    eased,
    grown,
    lengthened,
    places,
    restarted,
    resumed,
)

#: Seconds that the one request after a refusal for concurrency has for its answer.
ANSWER_PATIENCE_S = 600.0
#: Seconds for which the last reason to wait still counts as the binding limit.
RECENT_S = 1.0


class LaneGate:
    """Admits the requests of one lane in order, if every limit has room; then takes from all limits at once.

    The result of a request is reported in this order, with nothing in between: `come_back`, then `answered` or
    `refused`, then `observe`.
    """

    def __init__(self, key: LaneKey, slots: Slots, memory: LaneMemory, day: Day) -> None:
        self.key = key
        self._clock = asyncio.get_running_loop().time
        self.requests: RateLimiter | None = None
        self.tokens = TokenBudget(memory.charging)
        learned = memory.limits.learned_rpm
        self.blind = PaceSearch(self._clock(), estimate=None if learned is None else learned / 60.0)
        self.cooling = Cooling()
        self.day = day
        self.level = Level(FIRST_LEVEL, memory.level)
        self.in_flight = 0
        self.concurrency = ConcurrencySearch(slots.most)
        #: Loop time of the last refusal that lowered the level; refusals of older requests do not lower it again.
        self._eased_at = -inf
        #: How many of those in flight were admitted since the last cool-down began.
        self._recent = 0
        self._slots = slots
        self._turn = asyncio.Lock()
        #: Tasks that wait for their turn, including the one whose turn it is.
        self._queued = 0
        self._wake: asyncio.Future[None] | None = None
        self._resting: Blocker | None = None
        self._held_by: BlockReason | None = None
        self._held_at = -inf
        self._last_back: GateReservation | None = None

    def try_to_enter(self, charge: Charge) -> GateReservation | None:
        """Admit a request of this charge if none came before it and nothing keeps it waiting.

        Returns None otherwise.
        """
        if self._queued:
            return None
        need, now = self.tokens.estimates.need(charge), self._clock()
        return self._admit(charge, need, now) if self._hold(need, now) is None else None

    async def enter(self, charge: Charge) -> GateReservation:
        """Wait until a request of this charge may be sent, then admit it."""
        self._queued += 1
        try:
            async with self._turn:
                return await self._wait_and_enter(charge)
        finally:
            self._queued -= 1

    async def _wait_and_enter(self, charge: Charge) -> GateReservation:
        clock, estimates = self._clock, self.tokens.estimates
        try:
            while (hold := self._hold(need := estimates.need(charge), now := clock())) is not None:
                await self._rest(hold)
            return self._admit(charge, need, now)
        finally:
            self._slots.leave(self.recheck)

    def _hold(self, need: Need, now: float) -> Blocker | None:
        """Return why a request cannot be sent now. None: it can, and what it needs has been taken."""
        slots = self._slots
        if (hold := self._hold_for_time(need, now)) is not None:
            return hold
        if self.cooling.probe is not Probe.DUE and not self._level_has_room():
            return Blocker(BlockReason.LEVEL)
        if self.requests is not None:
            if (seconds := self.requests.ask(1.0, now)) > 0:
                return Blocker(BlockReason.RPM, seconds)
        elif (seconds := self.blind.wait(now)) > 0:
            return Blocker(BlockReason.LEARNED, seconds)
        if self.tokens.is_limited and (hold := self.tokens.hold(need, now)) is not None:
            return hold
        return None if slots.bound is None or slots.has_room(self.recheck) else Blocker(BlockReason.PROCESS)

    def _hold_for_time(self, need: Need, now: float) -> Blocker | None:
        """Return a cool-down, or an exhausted daily quota."""
        cooling = self.cooling
        if cooling.is_on and (seconds := cooling.wait(now)) > 0:
            return Blocker(BlockReason.DAY if cooling.is_daily else BlockReason.PROVIDER, seconds)
        return Blocker(BlockReason.DAY, seconds) if (seconds := self.day.wait(need, now)) > 0 else None

    def _admit(self, charge: Charge, need: Need, now: float) -> GateReservation:
        if self.requests is not None:
            self.requests.spend(1.0, now)
        self._slots.take()
        self.in_flight += 1
        self._recent += 1
        return GateReservation(
            self.key,
            now,
            self.tokens.spend(charge, need, now),
            None if self.requests is not None else self.blind.spend(now),
            self.cooling.epoch,
            self.cooling.probe is Probe.DUE and self._admit_probe(now),
            self.in_flight,
            self.day.spend(need, now),
        )

    def _admit_probe(self, now: float) -> bool:
        patience = self.blind.patience_s if self._is_learned else PROBE_PATIENCE_S
        if self.concurrency.is_held(now):
            # What was accepted shows in its answer alone.
            patience = ANSWER_PATIENCE_S
        return self.cooling.admitted(now, patience_s=patience)

    async def _rest(self, hold: Blocker) -> None:
        """Sleep until it is time to check again, or something has changed."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        self._resting = hold
        (self._slots.queue_up if hold.why is BlockReason.PROCESS else self._slots.leave)(self.recheck)
        timer = None if hold.seconds is None else loop.call_later(_timed(hold.seconds, loop), self.recheck)
        try:
            await self._wake
        finally:
            if timer is not None:
                timer.cancel()
            self._wake = self._resting = None
            self._held_by, self._held_at = hold.why, loop.time()

    def recheck(self) -> None:
        """Wake the waiting request, because something changed that it depends on."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def most(self) -> int:
        """Return how many requests may be in flight."""
        return places(self.level.overall, self._cap)

    def _level_has_room(self) -> bool:
        """Return whether the level has room.

        Traffic that ramps up is counted separately from what was in flight before.
        """
        level, more = self.level, self.in_flight + 1
        # Whole requests: there is room for one more, or none.
        return self._recent + 1 <= level.limit and more <= level.overall and more <= self._cap

    @property
    def _cap(self) -> int:
        return self._cap_if(paced=self._is_paced)

    def _cap_if(self, *, paced: bool) -> int:
        if paced:
            return MOST_PACED if self._slots.most is None else self._slots.most
        return self.concurrency.cap

    @property
    def _is_learned(self) -> bool:
        """Return whether the pace is an estimated one."""
        return self.requests is None and self.blind.state is not None

    @property
    def _is_paced(self) -> bool:
        return self.requests is not None or self.tokens.is_limited or self.blind.state is not None

    def cancel(self, place: GateReservation) -> None:
        """Give everything back: nothing was sent."""
        now = self._clock()
        if self.requests is not None:
            self.requests.give_back(1.0, now)
        if place.mark is not None:
            self.blind.give_back()
        self.tokens.cancel(place.taken, now)
        self.day.cancel(place.of_the_day)
        # Headers that arrive now belong to no admitted request.
        self._last_back = None
        self._leave(place, sent=False)
        self.recheck()

    def come_back(self, place: GateReservation, usage: Usage | None) -> None:
        """Free the slot of a request that is over."""
        returned = self.tokens.come_back(place.taken, usage, self._clock())
        self.day.come_back(place.of_the_day, usage)
        place.usage = usage
        self._last_back = place
        self._leave(place, sent=True)
        # A gate that waits for its rate gains nothing from a free slot.
        if returned or (
            self._resting is not None
            and self._resting.why in {BlockReason.LEVEL, BlockReason.PROVIDER, BlockReason.DAY}
        ):
            self.recheck()

    def _leave(self, place: GateReservation, *, sent: bool) -> None:
        place.held = False
        self.in_flight -= 1
        if not self._is_old(place):
            self._recent -= 1
            if place.probe:
                self.cooling.probe_back(sent=sent)
        self._slots.give_back()

    def answered(self) -> None:
        """Report that the request that came back last succeeded."""
        self.cooling.answered()
        self.blind.answered()
        place, now, paced = self._last_back, self._clock(), self._is_paced
        cap = self._cap_if(paced=paced)
        binds = self._level_binds(cap)
        if place is not None:
            self.tokens.answered(place.usage)
            is_full = binds and not paced and self.level.limit >= cap
            self.concurrency.answered(place, now, is_full=is_full, paced=paced)
        if not binds or self._is_old(place) or self.concurrency.is_held(now):
            return
        self.level = grown(self.level, self._cap_if(paced=paced), paced=paced)
        self.recheck()

    def timed_out(self) -> bool:
        """Report that the request that came back last had no answer in time. Returns whether a queue explains it.

        Then half of what was in flight when it was sent is kept.
        """
        place, now = self._last_back, self._clock()
        if place is None or not self.concurrency.explains_timeout(now - place.at, place.beside):
            return False
        if place.at >= self._eased_at:
            self._eased_at = now
            half = float(max(1, place.beside // 2))
            self.level = Level(half, half)
            self.concurrency.timed_out(place.beside, now)
        return True

    def _is_old(self, place: GateReservation | None) -> bool:
        return place is not None and place.epoch != self.cooling.epoch

    def _level_binds(self, cap: int) -> bool:
        resting_for_level = self._resting is not None and self._resting.why is BlockReason.LEVEL
        return resting_for_level or self._recent + 1 >= places(self.level.limit, cap)

    def restart(self) -> None:
        """Begin with one request alone, then ramp up to the level that was learned: nothing was refused."""
        self.cooling.probe_next()
        self._recent = 0
        self.level = resumed(self.level)
        self.recheck()

    def refused(self, refusal: Feedback) -> None:
        """Report that the request that came back last was refused."""
        place, now = self._last_back, self._clock()
        if place is None or refusal.cause is None:
            self._cool_down(place, refusal, now)
        else:
            place.refused = True
            self._adapt(place, refusal.cause, refusal, now)
        self.recheck()

    def _adapt(self, place: GateReservation, why: RefusalCause, refusal: Feedback, now: float) -> None:
        """Adapt the limit that the provider says was exceeded: request rate, token rate or concurrency."""
        tokens = self.tokens
        if self.requests is not None and why in {RefusalCause.REQUESTS, RefusalCause.UNSAID}:
            self.requests.tighten(now)
        if tokens.is_limited and (
            why is RefusalCause.TOKENS or (why is RefusalCause.UNSAID and self.requests is None)
        ):
            tokens.refused(place.taken, None, now)
        if why is RefusalCause.IN_FLIGHT and not refusal.restart_ramp:
            self._reduce_concurrency(place, refusal, now)
        elif why is RefusalCause.BUSY and not self._is_blind(place):
            # Not what the known limits are about.
            return
        elif place.mark is not None and self._is_unannounced_rate(why, place, refusal):
            self._count(place, place.mark, refusal, now)
        else:
            self._cool_down(place, refusal, now)

    def _is_unannounced_rate(self, why: RefusalCause, place: GateReservation, refusal: Feedback) -> bool:
        """Return whether an unannounced request rate caused this refusal."""
        if self.requests is not None or why is RefusalCause.DAY:
            return False
        if why is RefusalCause.AGAIN and (self._is_learned or refusal.stated_wait_s is not None):
            return place.probe and self._is_learned
        return why is RefusalCause.REQUESTS or self._is_blind(place)

    def _is_blind(self, place: GateReservation) -> bool:
        return place.mark is not None and self.requests is None and not self.tokens.is_limited

    def _count(self, place: GateReservation, mark: Refusal, refusal: Feedback, now: float) -> None:
        """Feed the rate search and hold the lane as long as it says. A time that the server stated is kept."""
        stated = refusal.stated_wait_s is not None
        hold_s = self.blind.refused(mark, now, probe=place.probe, stated=stated)
        wait_s = max(hold_s, refusal.stated_wait_s or 0.0)
        if wait_s > 0:
            self.cooling.hold_until(now + lengthened(wait_s, refusal.jitter))
        if refusal.restart_ramp:
            self._restart(cut=True)

    def _reduce_concurrency(self, place: GateReservation, refusal: Feedback, now: float) -> None:
        """Lower the concurrency. Wait only if the server states a time, or nothing was accepted."""
        if place.beside <= 1:
            self._cool_down(place, refusal, now)
        elif refusal.stated_wait_s is not None:
            self._keep_accepted(place, refusal, now)
        elif place.at >= self._eased_at:
            self._eased_at = now
            self.level = eased(self.level, place.beside - 1)

    def _keep_accepted(self, place: GateReservation, refusal: Feedback, now: float) -> None:
        """Wait as stated. Then keep what was accepted for a while: each trial of one more costs such a wait."""
        is_new = self._begin_cool_down(place, refusal, now)
        if is_new:
            self._recent = 0
        accepted = float(self.concurrency.refused(place.beside - 1, self.cooling.until, again=is_new))
        self.level = Level(accepted, accepted)

    def _cool_down(self, place: GateReservation | None, refusal: Feedback, now: float) -> None:
        if not self._begin_cool_down(place, refusal, now):
            return
        # That one request alone was refused says nothing about how many may be in flight.
        alone = place is not None and place.probe
        self._restart(
            cut=not alone and (refusal.stated_wait_s is None or refusal.restart_ramp or not self._is_paced)
        )

    def _begin_cool_down(self, place: GateReservation | None, refusal: Feedback, now: float) -> bool:
        return self.cooling.refused(
            now,
            stated_wait_s=refusal.stated_wait_s,
            jitter=refusal.jitter,
            epoch=self.cooling.epoch if place is None else place.epoch,
            is_daily=refusal.cause is RefusalCause.DAY,
        )

    def _restart(self, *, cut: bool) -> None:
        self._recent = 0
        self.level = restarted(self.level, cut=cut)

    def forget_level(self) -> None:
        """Reset the level, because a rate is known from now on."""
        self.level = Level(self.level.limit)

    def observe(self, hints: RateHints) -> None:
        """Use the headers of the request that came back last."""
        place, now = self._last_back, self._clock()
        self.tokens.adopt_hints(hints, now)
        if place is not None and place.taken.observer is not None:
            binds = self.held_by(now, recent_s=RECENT_S) is BlockReason.TPM
            self.tokens.observe(place.taken, hints, place.usage, refused=place.refused, binds=binds, now=now)

    def hold_for_the_day(self, seconds: float) -> None:
        """Hold the lane because a daily limit is exhausted."""
        self.cooling.hold_until(self._clock() + seconds, is_daily=True)

    def held_by(self, now: float, *, recent_s: float) -> BlockReason | None:
        """Return what the waiting request waits for, or waited for at most `recent_s` ago."""
        if self.cooling.wait(now) > 0:
            return BlockReason.DAY if self.cooling.is_daily else BlockReason.PROVIDER
        if self._resting is not None:
            return self._resting.why
        return self._held_by if now - self._held_at <= recent_s else None


def _timed(seconds: float, loop: asyncio.AbstractEventLoop) -> float:
    """Return a wait that the loop can time: uvloop counts whole milliseconds, and would wake early repeatedly."""
    is_exact = isinstance(loop, asyncio.BaseEventLoop)
    return seconds if is_exact else ceil(1e3 * seconds) / 1e3

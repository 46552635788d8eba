"""The gate of one lane: who may go, and when."""

import asyncio
from enum import StrEnum
from math import inf

from msgspec import Struct

from batcher.budget.cooling import Cooling, Probe
from batcher.budget.dimension import Dimension
from batcher.budget.slots import Slots
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import Usage
from batcher.domain.states import ChargeRule
from batcher.policy.admission import Level, grown, most_at_once, places, restarted, tokens_returned


class Why(StrEnum):
    """What holds the next request back."""

    #: A cool-down, or its probe.
    PROVIDER = "provider"
    #: The process has its most requests in flight.
    PROCESS = "process"
    #: The lane has as many as its level allows.
    LEVEL = "level"
    RPM = "rpm"
    TPM = "tpm"


class Hold(Struct, frozen=True):
    """Why the next request cannot go, and the seconds after which to look again (None: only when woken)."""

    why: Why
    seconds: float | None = None


class Place(Struct, eq=False, kw_only=True):
    """A `Reservation`: what one request has taken, until it is cancelled or comes back."""

    lane: LaneKey
    tokens: float
    #: The cool-down epoch it went in.
    epoch: int
    probe: bool
    held: bool = True


class Gate:
    """Admits the requests of one lane, in their order, when every dimension has room; then takes from all at once.

    What became of a request is told in this order: `come_back`, then `answered` or `refused`, nothing between.
    """

    def __init__(self, key: LaneKey, slots: Slots) -> None:
        self.key = key
        self.rule = ChargeRule.SUM
        self.requests: Dimension | None = None
        self.tokens: Dimension | None = None
        self.cooling = Cooling()
        self.level = Level()
        self.in_flight = 0
        #: Of those, the ones admitted since the last cool-down began.
        self._recent = 0
        self._slots = slots
        self._turn = asyncio.Lock()
        self._wake: asyncio.Future[None] | None = None
        self._resting: Hold | None = None
        self._held_by: Why | None = None
        self._held_at = -inf
        self._last_back: Place | None = None

    async def enter(self, tokens: float) -> Place:
        """Wait until a request of so many tokens may go, and let it go."""
        async with self._turn:
            clock = asyncio.get_running_loop().time
            try:
                while (hold := await self._hold(tokens, now := clock())) is not None:
                    await self._rest(hold)
                return self._admit(tokens, now)
            finally:
                self._slots.leave(self.look_again)

    async def _hold(self, tokens: float, now: float) -> Hold | None:
        """What keeps a request from going now. None: nothing, and no other task has run since it was found so."""
        if (seconds := self.cooling.wait(now)) > 0:
            return Hold(Why.PROVIDER, seconds)
        if self.cooling.probe is not Probe.DUE and not self._level_has_room():
            return Hold(Why.LEVEL)
        if self.requests is not None and (seconds := await self.requests.wait_for(1.0, now)) > 0:
            return Hold(Why.RPM, seconds)
        if self.tokens is not None and (seconds := await self.tokens.wait_for(tokens, now)) > 0:
            return Hold(Why.TPM, seconds)
        return None if self._slots.has_room(self.look_again) else Hold(Why.PROCESS)

    def _admit(self, tokens: float, now: float) -> Place:
        if self.requests is not None:
            self.requests.spend(1.0, now)
        if self.tokens is not None:
            self.tokens.spend(tokens, now)
        self._slots.take()
        self.in_flight += 1
        self._recent += 1
        probe = self.cooling.admitted(now)
        return Place(lane=self.key, tokens=tokens, epoch=self.cooling.epoch, probe=probe)

    async def _rest(self, hold: Hold) -> None:
        """Sleep until it is time to look again, or something has changed."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        self._resting = hold
        (self._slots.queue_up if hold.why is Why.PROCESS else self._slots.leave)(self.look_again)
        timer = None if hold.seconds is None else loop.call_later(hold.seconds, self.look_again)
        try:
            await self._wake
        finally:
            if timer is not None:
                timer.cancel()
            self._wake = self._resting = None
            self._held_by, self._held_at = hold.why, loop.time()

    def look_again(self) -> None:
        """Something has changed that the waiting request should know of."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def most(self) -> int:
        """Requests that may be in flight."""
        return places(self.level.overall, self._cap)

    def _level_has_room(self) -> bool:
        """Traffic that ramps up does so beside what is still in flight from before; both keep to the level."""
        return self._recent < places(self.level.limit, self._cap) and self.in_flight < self.most

    @property
    def _cap(self) -> int:
        return most_at_once(self._slots.most, paced=self._is_paced)

    @property
    def _is_paced(self) -> bool:
        return self.requests is not None or self.tokens is not None

    def cancel(self, place: Place) -> None:
        """Nothing was sent: all of it comes back."""
        now = asyncio.get_running_loop().time()
        if self.requests is not None:
            self.requests.give_back(1.0, now)
        if self.tokens is not None:
            self.tokens.give_back(place.tokens, now)
        self._leave(place, sent=False)
        self.look_again()

    def come_back(self, place: Place, usage: Usage | None) -> None:
        """The request is over; its place is free."""
        returned = tokens_returned(place.tokens, usage, self.rule)
        if returned and self.tokens is not None:
            self.tokens.give_back(returned, asyncio.get_running_loop().time())
        self._last_back = place
        self._leave(place, sent=True)
        # A gate that waits for its rate has nothing to gain from a free place.
        if returned or (self._resting is not None and self._resting.why in {Why.LEVEL, Why.PROVIDER}):
            self.look_again()

    def _leave(self, place: Place, *, sent: bool) -> None:
        place.held = False
        self.in_flight -= 1
        if not self._is_old(place):
            self._recent -= 1
            if place.probe:
                self.cooling.probe_back(sent=sent)
        self._slots.give_back()

    def answered(self) -> None:
        """The request that came back last is a success."""
        self.cooling.answered()
        if self._is_old(self._last_back) or not self._level_binds():
            return
        self.level = grown(self.level, self._cap, paced=self._is_paced)
        self.look_again()

    def _is_old(self, place: Place | None) -> bool:
        return place is not None and place.epoch != self.cooling.epoch

    def _level_binds(self) -> bool:
        resting_for_level = self._resting is not None and self._resting.why is Why.LEVEL
        return resting_for_level or self._recent + 1 >= places(self.level.limit, self._cap)

    def refused(self, *, told_s: float | None, jitter: float, restart_ramp: bool) -> None:
        """The request that came back last is a refusal."""
        place, now = self._last_back, asyncio.get_running_loop().time()
        epoch = self.cooling.epoch if place is None else place.epoch
        if self.cooling.refused(now, told_s=told_s, jitter=jitter, epoch=epoch):
            # That one request alone was refused says nothing about how many may be in flight.
            self._recent = 0
            alone = place is not None and place.probe
            cut = not alone and (told_s is None or restart_ramp or not self._is_paced)
            self.level = restarted(self.level, cut=cut)
        self.look_again()

    def held_by(self, now: float, *, recent_s: float) -> Why | None:
        """What the waiting request waits for, or waited for at most `recent_s` ago."""
        if self.cooling.wait(now) > 0:
            return Why.PROVIDER
        if self._resting is not None:
            return self._resting.why
        return self._held_by if now - self._held_at <= recent_s else None

"""However lanes share slots, cool down, are refused and given up: each gets its answers."""

import asyncio
import random

import pytest

from batcher.budget.lanes import LaneBudgets
from batcher.domain.feedback import Feedback
from batcher.domain.ids import EndpointId
from batcher.domain.lanes import Charge, LaneKey
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import RefusalCause, RequestEnd
from batcher.ports import Reservation
from tests.support.virtual_time import VirtualClock, run_virtual

CHARGE = Charge(input_tokens=1, output_tokens=1, bounded=True, counted=True)
CAUSES = [
    RefusalCause.REQUESTS,
    RefusalCause.TOKENS,
    RefusalCause.IN_FLIGHT,
    RefusalCause.BUSY,
    RefusalCause.UNSAID,
]
ANSWERS_A_LANE = 10


class Traffic:
    """Lanes whose requests end in all the ways there are, as a seed draws them."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.budgets = LaneBudgets(
            VirtualClock(),
            most_in_flight=self.draw.choice([None, 1, 2, 5]),
            most_open=self.draw.choice([1, 3, 10]),
        )
        self.answered = 0

    async def run(self) -> int:
        """Return how many answers were expected."""
        names = [f"m{number}" for number in range(self.draw.choice([3, 30, 100]))]
        keys = [LaneKey(endpoint_id=EndpointId(1), key_name="K", model=name) for name in names]
        for key in keys:
            limits = Limits(rpm=self.draw.choice([None, None, 600, 60_000]))
            self.budgets.open_lane(key, limits, cooling_until=None)
        async with asyncio.timeout(400_000):
            await asyncio.gather(*(self._use(key) for key in keys))
        return len(keys) * ANSWERS_A_LANE

    async def _use(self, key: LaneKey) -> None:
        left = ANSWERS_A_LANE
        while left:
            place = await self._reserve(key)
            if place is None:
                continue
            await asyncio.sleep(self.draw.choice([0.0, 0.0, 0.05, 0.3]))
            feedback = self._end()
            self.budgets.finish(place, feedback)
            if feedback.end is RequestEnd.ANSWERED:
                left -= 1
                self.answered += 1
            elif feedback.end is RequestEnd.NO_DESCRIPTOR:
                await asyncio.sleep(0.2)
            if self.draw.random() < 0.03:
                self.budgets.restart(key)

    async def _reserve(self, key: LaneKey) -> Reservation | None:
        """Some do not wait to the end, and some do not send."""
        reserving = asyncio.ensure_future(self.budgets.reserve(key, CHARGE))
        if self.draw.random() < 0.1:
            await asyncio.wait({reserving}, timeout=0.3 * self.draw.random())
            if not reserving.done():
                reserving.cancel()
                await asyncio.wait({reserving})
                return None
        place = await reserving
        if self.draw.random() < 0.05:
            self.budgets.cancel(place)
            return None
        return place

    def _end(self) -> Feedback:
        ends = [RequestEnd.REFUSED, RequestEnd.NO_DESCRIPTOR, RequestEnd.TIMED_OUT, RequestEnd.TOO_LARGE]
        end = self.draw.choices([RequestEnd.ANSWERED, *ends], weights=[16, 2, 1, 0.6, 0.4])[0]
        if end is RequestEnd.ANSWERED:
            return Feedback(end=end, usage=Usage(input_tokens=1, output_tokens=1))
        if end is not RequestEnd.REFUSED:
            return Feedback(end=end)
        wait_us = self.draw.choice([None, 100_000, 2_000_000])
        return Feedback(end=end, cause=self.draw.choice(CAUSES), wait_us=wait_us)


@pytest.mark.parametrize("seed", range(40))
def test_every_lane_gets_its_answers(seed: int) -> None:
    traffic = Traffic(seed)
    assert run_virtual(traffic.run()) == traffic.answered

import asyncio

import pytest

from batcher.domain.ids import EndpointId
from batcher.domain.lanes import LaneKey
from batcher.domain.settings import Limits
from batcher.policy.rate.token_bucket import Level
from batcher.ports import Reservation
from tests.unit.budget.runs import LANE, OTHER, charge, finish, is_held, opened, refuse, take, work

THIRD = LaneKey(endpoint_id=EndpointId(1), key_name="OPENAI_API_KEY", model="third")
FAST = Limits(rpm=600_000)


async def room(budgets, lane=LANE):
    """How many more would be let in now; they are let in."""
    places: list[Reservation] = []
    while len(places) < 2000 and not await is_held(budgets, lane=lane):
        places += await take(budgets, 1, lane)
    return len(places)


@pytest.mark.parametrize("limits", [Limits(), FAST, Limits(tpm=1e9)])
async def test_a_new_lane_has_eight_in_flight_until_the_first_success(limits):
    budgets = opened(limits)
    await asyncio.sleep(1)
    sending = await take(budgets, 8)
    assert await is_held(budgets, seconds=3600)
    finish(budgets, sending[0], answered=False)
    assert not await is_held(budgets)
    assert await room(budgets) == 1
    finish(budgets, sending[1])
    assert await room(budgets) == 2


async def test_the_level_doubles_a_round_trip():
    run = await work(opened(), [0] * 60, latency=1.0)
    sent = [sum(second - 0.5 < at < second + 0.5 for at in run.times) for second in range(4)]
    assert sent == [8, 16, 32, 4]


@pytest.mark.parametrize(
    ("limits", "most", "cap"),
    [
        (FAST, None, 1000),
        (Limits(tpm=1e12), None, 1000),
        (Limits(), 5, 5),
        (FAST, 100, 100),
        (Limits(), 100, 100),
    ],
)
async def test_the_level_grows_up_to_its_cap(limits, most, cap):
    budgets = opened(limits, most=most)
    await work(budgets, [0] * 4000, latency=0.1)
    assert await room(budgets) == cap


async def test_the_level_does_not_grow_while_the_rate_is_what_limits():
    budgets = opened(Limits(rpm=600))
    await work(budgets, [0] * 600, latency=0.2)
    budgets.open_lane(LANE, FAST, cooling_until=None)
    await asyncio.sleep(1)
    assert await room(budgets) == 8


def set_level(budgets, limit):
    budgets._lanes[LANE].gate.level = Level(limit=limit)


def sent_a_second(run, seconds):
    start = run.times[0]
    return [sum(second - 0.5 < at - start < second + 0.5 for at in run.times) for second in range(seconds)]


@pytest.mark.parametrize(
    ("limits", "wait_s", "restart", "expected"),
    [
        # The probe, a quarter of the level, doubling up to the level, then gently on.
        (FAST, 1.0, False, [1, 10, 20, 40, 45, 50]),
        # Without a time, or told to slow down, the level itself is halved.
        (FAST, None, False, [1, 5, 10, 20, 22, 25]),
        (FAST, 1.0, True, [1, 5, 10, 20, 22, 25]),
        # Blind, also a refusal with a time says that it was too much; above the level it is one more a round trip.
        (Limits(), 1.0, False, [1, 5, 10, 20, 20, 21, 22, 23]),
    ],
)
async def test_after_a_refusal_traffic_ramps_up_again(limits, wait_s, restart, expected):
    budgets = opened(limits)
    await asyncio.sleep(1)
    set_level(budgets, 40)
    (place,) = await take(budgets, 1)
    refuse(budgets, place, wait_s=wait_s, restart=restart)
    run = await work(budgets, [0] * 300, latency=1.0)
    assert sent_a_second(run, len(expected)) == expected


async def test_answers_to_what_was_sent_before_a_refusal_do_not_grow_the_level():
    budgets = opened()
    first, *others = await take(budgets, 8)
    refuse(budgets, first)
    for place in others:
        finish(budgets, place)
    assert sent_a_second(await work(budgets, [0] * 10, latency=1.0), 3) == [1, 2, 4]


async def test_long_requests_from_before_a_refusal_do_not_stop_the_ramp_but_count_for_the_level():
    budgets = opened(FAST)
    await asyncio.sleep(1)
    set_level(budgets, 40)
    first, *old = await take(budgets, 31)
    refuse(budgets, first, wait_s=1)
    (probe,) = await take(budgets, 1)
    finish(budgets, probe)
    assert await room(budgets) == 10  # a quarter of 40, and 30 are still out there
    assert await is_held(budgets, seconds=3600)
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(1)
    for place in old:
        finish(budgets, place)  # what they say of the time before grows nothing
    await asyncio.sleep(1)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("answered", [True, False])
async def test_a_probe_that_is_refused_does_not_shrink_the_level_further(answered):
    budgets = opened()
    set_level(budgets, 40)
    (place,) = await take(budgets, 1)
    refuse(budgets, place)
    for _ in range(0 if answered else 6):
        (probe,) = await take(budgets, 1)
        refuse(budgets, probe)
    assert sent_a_second(await work(budgets, [0] * 50, latency=1.0), 3) == [1, 5, 10]


async def test_the_level_never_falls_below_one():
    budgets = opened()
    for _ in range(12):
        (place,) = await take(budgets, 1)
        refuse(budgets, place, restart=True)
        (probe,) = await take(budgets, 1)
        finish(budgets, probe)
    assert await room(budgets) >= 1


async def test_an_in_flight_limit_that_nobody_announced_is_found_with_few_refusals():
    budgets, sending, refused, most = opened(), 0, 0, 0

    async def exchange(place):
        nonlocal sending, refused, most
        sending += 1
        most = max(most, sending)
        if sending > 20:
            sending -= 1
            refused += 1
            refuse(budgets, place)
            return
        await asyncio.sleep(1)
        sending -= 1
        finish(budgets, place)

    async with asyncio.TaskGroup() as group:
        for _ in range(3000):
            group.create_task(exchange(await budgets.reserve(LANE, charge())))
    assert refused < 0.05 * 3000
    assert asyncio.get_running_loop().time() < 3000 / 20 / 0.6


async def test_the_process_has_no_more_in_flight_than_it_was_given_and_lanes_take_turns():
    budgets = opened(most=3, lanes=[LANE, OTHER])
    sending, most, sent = 0, 0, []

    async def exchange(place):
        nonlocal sending, most
        sending += 1
        most = max(most, sending)
        await asyncio.sleep(1)
        sending -= 1
        finish(budgets, place)

    async def gate(lane, group):
        for _ in range(60):
            place = await budgets.reserve(lane, charge())
            sent.append(lane)
            group.create_task(exchange(place))

    async with asyncio.TaskGroup() as group:
        group.create_task(gate(LANE, group))
        group.create_task(gate(OTHER, group))
    assert most == 3
    assert abs(sent[:60].count(LANE) - 30) <= 3


async def full_process():
    """A process of two places, both taken by one lane; two more lanes."""
    budgets = opened(most=2, lanes=[THIRD, LANE, OTHER])
    return budgets, await take(budgets, 2, THIRD)


async def test_a_lane_that_leaves_the_queue_for_a_place_leaves_the_others_theirs():
    budgets, (place, _) = await full_process()
    assert await is_held(budgets)  # queued up, then gave up
    waiting = asyncio.create_task(budgets.reserve(OTHER, charge()))
    await asyncio.sleep(1)
    finish(budgets, place)
    await asyncio.wait_for(waiting, 0.001)


async def test_a_lane_that_comes_later_does_not_take_the_place_of_one_that_waits():
    budgets, (place, other_place) = await full_process()
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(1)
    finish(budgets, place)
    assert await is_held(budgets, lane=OTHER)  # asks before the other has even woken
    assert waiting.done()
    later = asyncio.create_task(budgets.reserve(OTHER, charge()))
    await asyncio.sleep(1)
    assert not later.done()
    finish(budgets, other_place)
    await asyncio.wait_for(later, 0.001)


async def test_a_lane_that_gives_up_in_the_moment_of_its_turn_passes_the_turn_on():
    budgets, (place, _) = await full_process()
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(1)
    finish(budgets, place)
    waiting.cancel()
    async with asyncio.timeout(0.001):
        await budgets.reserve(OTHER, charge())

"""Servers that queue in silence: what brings no throughput is not kept in flight, what does is."""

import asyncio

import pytest

from tests.unit.budget.runs import LANE, finish, is_held, opened, take, time_out
from tests.unit.budget.servers import Server, SharedServer, work_at


@pytest.mark.parametrize(
    ("server", "most", "later"),
    [
        (Server(1), 13, 5),
        (Server(1, sigma=0.8, seed=2), 40, 10),
        (Server(4), 32, 9),
        (Server(4, sigma=0.8), 64, 12),
        (Server(16), 96, 33),
        (SharedServer(4), 64, 12),
    ],
)
async def test_what_is_kept_in_flight_is_a_little_more_than_the_server_works_on(server, most, later):
    work = await work_at(opened(), server, seconds=500)
    assert work.rate(0, 500) >= 0.93 * server.places
    assert work.most <= most
    assert work.in_flight(350, 500) <= later


@pytest.mark.parametrize("sigma", [0.0, 0.8, 1.2])
@pytest.mark.parametrize("places", [1, 2])
async def test_hardly_anything_times_out_in_a_queue(places, sigma):
    """Twenty answers' time is the patience; 50 in flight at once had a third of all requests time out."""
    work = await work_at(opened(), Server(places, sigma=sigma), seconds=600, timeout=20)
    assert work.timeouts <= 0.06 * len(work.sent)
    assert work.rate(0, 600) >= 0.88 * places


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.8, 1.2])
@pytest.mark.parametrize("seed", range(4))
async def test_a_server_that_scales_has_64_at_once_after_a_few_round_trips(sigma, seed):
    budgets = opened()
    work = await work_at(budgets, Server(None, sigma=sigma, seed=seed), seconds=12)
    assert work.reached(64) <= 4.0
    assert work.reached(140) <= 11.0


async def test_a_server_that_gets_more_places_is_given_more():
    server = Server(2)
    budgets = opened()
    await work_at(budgets, server, seconds=300)
    grown = Server(40)
    work = await work_at(budgets, grown, seconds=2500)
    assert work.rate(2300, 2800) >= 0.8 * 40


async def test_concurrency_that_was_given_is_a_ceiling_also_below_which_a_queue_counts():
    budgets = opened(most=40)
    work = await work_at(budgets, Server(1), seconds=300)
    assert work.most <= 16
    assert work.in_flight(200, 300) <= 9
    scaling = opened(most=40)
    work = await work_at(scaling, Server(None, sigma=0.8), seconds=30)
    assert work.most == 40


async def test_a_queue_of_milliseconds_is_none_to_care_about():
    """Fewer in flight would only make our own batches smaller."""
    work = await work_at(opened(most=64), Server(1, seconds=0.001), seconds=5)
    assert work.most == 64
    assert work.in_flight(3, 5) >= 60


async def after_timeout(others_s, waited_s):
    """Whether a queue is said to explain a timeout after so long; and how many may be in flight then."""

    budgets = opened()
    places = await take(budgets, 8)
    await asyncio.sleep(others_s)
    for place in places[:4]:
        finish(budgets, place)
    await asyncio.sleep(waited_s - others_s)
    explained = time_out(budgets, places[7])
    for place in places[4:7]:
        finish(budgets, place, answered=False)
    room = 0
    while not await is_held(budgets):
        await take(budgets, 1)
        room += 1
    return explained, room


@pytest.mark.parametrize(
    ("others_s", "explained", "room"),
    [
        (20.0, True, 4),
        (6.0, True, 4),
        # Others are quick: this request takes long by itself.
        (2.0, False, 9),
    ],
)
async def test_a_timeout_halves_what_is_in_flight_only_if_answers_take_long_as_well(others_s, explained, room):
    assert await after_timeout(others_s, 24.0) == (explained, room)


async def test_timeouts_of_requests_that_were_sent_before_the_last_cut_cut_no_further():
    budgets = opened()
    places = await take(budgets, 8)

    await asyncio.sleep(20)
    finish(budgets, places[0])
    await asyncio.sleep(4)
    explained = [time_out(budgets, place) for place in places[:0:-1]]
    assert all(explained)
    assert budgets._lanes[LANE].gate.most == 4


async def test_a_lane_that_was_never_answered_beside_others_may_queue_behind_them():
    """A server with one place for all its models works for another lane first."""
    budgets = opened()
    places = await take(budgets, 8)
    await asyncio.sleep(24)
    explained = [time_out(budgets, place) for place in reversed(places)]
    assert explained == [True] * 7 + [False]
    assert budgets._lanes[LANE].gate.most == 4

"""Latency that grows with what is in flight is a queue; latency that merely varies is none."""

import random

import pytest

from batcher.policy.rate.queueing import LatencyTrend, is_queueing, with_reply, worth_keeping


def trend_of(replies):
    trend = LatencyTrend()
    for in_flight, latency in replies:
        trend = with_reply(trend, in_flight, latency)
    return trend


def replies_of(places, count=24, seconds=1.0):
    return [(n, seconds * max(1.0, n / places)) for n in range(1, count + 1)]


@pytest.mark.parametrize("places", [1, 2, 4])
def test_a_queue_is_recognized_and_about_twice_its_places_are_kept(places):
    trend = trend_of(replies_of(places))
    assert is_queueing(trend)
    assert places <= worth_keeping(trend, 24) <= 5 * places


@pytest.mark.parametrize("replies", [[], replies_of(1, 5), replies_of(100), [(8, 1.0), (8, 4.0)] * 50])
def test_few_replies_constant_latency_and_one_level_alone_say_nothing(replies):
    assert not is_queueing(trend_of(replies))


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.2])
def test_latencies_that_vary_by_ten_are_hardly_ever_taken_for_a_queue(sigma):
    draw, taken = random.Random(5), 0
    for _ in range(200):
        trend = LatencyTrend()
        for n in range(1, 64):
            trend = with_reply(trend, n, draw.lognormvariate(0, sigma))
            if is_queueing(trend):
                taken += 1
                break
    assert taken <= 10


def test_of_a_queue_at_least_two_are_kept_and_never_more_than_there_are():
    assert worth_keeping(trend_of([(n, n * n) for n in range(1, 30)]), 30) == 2
    assert worth_keeping(trend_of(replies_of(100)), 8) == 8

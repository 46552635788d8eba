"""Recognizes a server that works on a few requests at once and queues the rest in silence.

In such a queue a request waits for all that were sent before it, so latency grows in proportion to the requests in
flight: a slope of 1 between the logarithms of the two. A server with room for more has a slope of 0, however much
the lengths of its answers vary. See docs/rate-limits.md#concurrency.
"""

from math import ceil, exp, log, sqrt

from msgspec import Struct

#: Above this slope, more than half of what is added in flight only waits.
QUEUE_SLOPE = 0.5
#: How many standard errors the slope must be above it. Latencies that vary by ten and have nothing to do with it
#: exceed it in one run of thirty at worst; then larger caps are tried at once, and prove better.
CERTAINTY = 2.0
#: Replies needed for a slope, and the smallest standard error that is believed.
LEAST_REPLIES, LEAST_ERROR = 6, 0.05
#: Requests sent with at most so many in flight show the latency without a queue.
FEW = 4
#: Of what the server works on at once, this multiple is kept in flight: a place that is free has its next request.
#: At least two.
KEPT, LEAST_KEPT = 2.0, 2


class LatencyTrend(Struct, frozen=True):
    """A linear regression of ln(latency) on ln(requests in flight when it was sent), in running sums."""

    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0
    #: Replies to requests that were sent with few in flight, and the sum of their ln(latency).
    few: int = 0
    few_y: float = 0.0


def with_reply(trend: LatencyTrend, in_flight: int, latency: float) -> LatencyTrend:
    """Return the trend with one more reply. `in_flight` includes the request itself."""
    x, y = log(in_flight), log(max(latency, 1e-6))
    count = trend.count + 1
    dx, dy = x - trend.mean_x, y - trend.mean_y
    mean_x, mean_y = trend.mean_x + dx / count, trend.mean_y + dy / count
    is_few = in_flight <= FEW
    return LatencyTrend(
        count,
        mean_x,
        mean_y,
        trend.xx + dx * (x - mean_x),
        trend.xy + dx * (y - mean_y),
        trend.yy + dy * (y - mean_y),
        trend.few + is_few,
        trend.few_y + y * is_few,
    )


def is_queueing(trend: LatencyTrend) -> bool:
    """Return whether latency certainly grows with what is in flight."""
    if trend.count < LEAST_REPLIES or trend.xx <= 0.0:
        return False
    slope = trend.xy / trend.xx
    residual = max(0.0, trend.yy - slope * trend.xy) / (trend.count - 2)
    error = max(LEAST_ERROR, sqrt(residual / trend.xx))
    return slope - CERTAINTY * error > QUEUE_SLOPE


def worth_keeping(trend: LatencyTrend, in_flight: int) -> int:
    """Return how many to keep in flight at a server that queues.

    By Little's law the places are in flight · base / now: base is the latency with few in flight, and now the one
    that the trend shows with `in_flight`.
    """
    slope = trend.xy / trend.xx
    now = trend.mean_y + slope * (log(in_flight) - trend.mean_x)
    base = trend.few_y / trend.few if trend.few else trend.mean_y - slope * trend.mean_x
    places = in_flight * exp(min(0.0, base - now))
    return min(in_flight, max(LEAST_KEPT, ceil(KEPT * places)))

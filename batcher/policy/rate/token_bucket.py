"""Token bucket arithmetic: how fast and in what bursts a lane sends, how many at once, how long it cools down.

The constants were measured; docs/rate-limits.md#token-buckets has the experiments. Units: requests or tokens
("units"), seconds, and limits per minute. Code that runs at every admission compares instead of calling `min` and
`max`, which cost three times as much.
"""

from msgspec import Struct

#: Seconds of budget that a lane may send at once: half of what providers save up, and longer than any stall.
BURST_S = 0.5
#: Share of a bucket that is taken ahead: asking a limiter costs more than all other arithmetic of an admission.
AHEAD = 1 / 16
#: Share of a limit that is used: it keeps "never more than the limit in 60 s" true in spite of jitter.
MARGIN = 0.995
#: A refusal multiplies the margin by this, at most once per second.
MARGIN_CUT = 0.985
LEAST_MARGIN = 0.6
#: What each second restores of the margin.
MARGIN_RECOVERY = 0.0003
#: Up to here a provider's second of saved budget is one request: no slack, so requests are spaced a little
#: further.
NO_SLACK_RPM = 60.0
#: From here on it is two requests, and no extra spacing is needed.
SLACK_RPM = 120.0
#: Seconds of extra spacing if there is no slack: twice what loopback needs.
SPACING_S = 0.010
#: A limit that changes by less than this share counts as unchanged: the margin covers it anyway.
SAME_LIMIT = 1 - MARGIN

#: Requests in flight on a new lane until the first success.
FIRST_LEVEL = 8.0
#: Maximum of requests in flight if a rate is known: then the rate is what limits.
MOST_PACED = 1000
#: Share of the level that a refusal leaves, and where traffic restarts after a cool-down.
CUT = 0.5
RESTART = 0.25
#: Share of the requests in flight that remains if concurrency is what was refused.
EASED = 0.8
#: Growth per success above the level of the last refusal if a rate governs anyway; otherwise it is one per round
#: trip.
GENTLE = 0.125

#: Seconds of our own first wait, doubled by each further refusal without a success in between, and its maximum.
OWN_WAIT_S = 1.0
MOST_OWN_WAIT_S = 60.0
#: Jitter adds up to a tenth of a wait, within these bounds in seconds, so that long waits do not spread by
#: minutes.
JITTER = 0.1
LEAST_JITTER_S = 0.010
MOST_JITTER_S = 0.250
#: Seconds after which a probe that was not refused counts as accepted: refusals are quick, long answers are not.
PROBE_PATIENCE_S = 10.0

#: Share of a bucket below which an amount is a rounding error.
ROUNDING = 1e-9
#: Seconds; no wait for room is shorter, so that rounding never makes a gate spin.
SHORTEST_WAIT_S = 1e-4


class Pace(Struct, frozen=True, kw_only=True):
    """How one limit is enforced."""

    #: Units per second.
    rate: float
    #: Units that may be sent at once.
    bucket: float
    #: Most units taken in one step: half a bucket, so that a late wake-up loses nothing, but at least one request.
    part: float
    #: Units taken in one step, for several requests, while the bucket has plenty of room.
    ahead: float


class Balance(Struct, frozen=True):
    """The state of one limit, in units."""

    #: In the bucket and not yet leaked out of it, from 0 to the bucket's size.
    taken: float
    #: Above 0: debt, to be taken before anything else is sent. Below 0: taken and not yet used, at most `taken`.
    owed: float


def requests_pace(rpm: float) -> Pace:
    """Return the pace of `rpm` requests per minute: at least one at once, spaced a little if there is no slack."""
    interval = 60.0 / rpm
    tightness = min(1.0, max(0.0, (SLACK_RPM - rpm) / (SLACK_RPM - NO_SLACK_RPM)))
    rate = 1.0 / max(interval / MARGIN, interval + SPACING_S * tightness)
    bucket = max(1.0, rate * BURST_S)
    return Pace(rate=rate, bucket=bucket, part=max(1.0, bucket / 2), ahead=AHEAD * bucket)


def tokens_pace(tpm: float) -> Pace:
    """Return the pace of `tpm` tokens per minute."""
    rate = tpm / 60.0 * MARGIN
    bucket = max(1.0, rate * BURST_S)
    return Pace(rate=rate, bucket=bucket, part=bucket / 2, ahead=AHEAD * bucket)


def initial_balance(pace: Pace, *, debt: float = 0.0) -> Balance:
    """Return the initial balance: the bucket is empty, and an earlier gate's debt is added."""
    return Balance(0.0, pace.bucket + max(0.0, debt))


def passed(balance: Balance, seconds: float, pace: Pace) -> Balance:
    """Let `seconds` pass: units that were taken and not used expire first, then debt is paid."""
    spare = seconds * pace.rate - balance.taken
    if spare < 0:
        return Balance(-spare, balance.owed if balance.owed > spare else spare)  # noqa: FURB136 - speed
    return Balance(0.0, balance.owed - spare if balance.owed > spare else 0.0)


def part_to_take(balance: Balance, amount: float, pace: Pace) -> float:
    """Return the units to take next before a request of `amount` may be sent; 0: it may be sent.

    First all debt is taken, then the request, of which one bucketful must be there; the rest becomes debt. Merging
    the two steps gets most of a long job refused (docs/rate-limits.md#token-buckets). With plenty of room it takes
    for the next requests, too; that needs twice as much room, because the limiter reads the clock a little later
    than we do.
    """
    missing = balance.owed + (amount if amount < pace.bucket else pace.bucket)  # noqa: FURB136 - speed
    if missing <= ROUNDING * pace.bucket:
        return 0.0
    ahead = pace.ahead
    if missing < ahead and balance.taken + 2 * ahead <= pace.bucket:
        return ahead
    return missing if missing < pace.part else pace.part  # noqa: FURB136 - speed


def acquired(balance: Balance, part: float) -> Balance:
    """Record that `part` was taken from the bucket."""
    return Balance(balance.taken + part, balance.owed - part)


def take(balance: Balance, amount: float) -> Balance:
    """Use `amount` for a request; a negative amount comes back, at most what is still in the bucket."""
    owed = balance.owed + amount
    unspent = -balance.taken
    return Balance(balance.taken, owed if owed > unspent else unspent)  # noqa: FURB136 - speed


def without_room(balance: Balance, part: float, pace: Pace) -> Balance:
    """Record that the limiter has no room for `part`, whatever `taken` says, as it reads the clock a little later.

    Without this a request that needs the whole bucket could wait endlessly for the last fraction.
    """
    least = min(pace.bucket, pace.bucket - part + pace.rate * SHORTEST_WAIT_S)
    return Balance(max(balance.taken, least), balance.owed)


def seconds_to_room(balance: Balance, part: float, pace: Pace) -> float:
    """Return the seconds until the bucket has room for `part`."""
    return max(SHORTEST_WAIT_S, (balance.taken + part - pace.bucket) / pace.rate)


class Margin(Struct, frozen=True):
    """The share of a limit that is used, and since when it recovers."""

    share: float
    at: float


FULL_MARGIN = Margin(MARGIN, 0.0)


def cut_margin(margin: Margin, now: float) -> Margin:
    """Return the margin after a refusal; refusals within one second count as one."""
    if margin.share < MARGIN and now - margin.at < 1.0:
        return margin
    return Margin(max(LEAST_MARGIN, MARGIN_CUT * _recovered(margin, now)), now)


def extra_cost(margin: Margin, now: float) -> float:
    """Return what a unit costs under a margin smaller than the usual one; 1: it has recovered."""
    return MARGIN / _recovered(margin, now)


def _recovered(margin: Margin, now: float) -> float:
    return min(MARGIN, margin.share + MARGIN_RECOVERY * (now - margin.at))


def in_force(given: float | None, announced: float | None) -> float | None:
    """Return the limit to keep: the user's figure is a ceiling, and a lower announcement is obeyed."""
    if given is None or announced is None:
        return given if announced is None else announced
    return min(given, announced)


def is_same_limit(one: float | None, other: float | None) -> bool:
    """Return whether two limits differ by no more than rounding or noise."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SAME_LIMIT * max(one, other)


class Level(Struct, frozen=True):
    """How many requests a lane may have in flight."""

    #: Maximum in flight of the requests sent since the last refusal. Its fraction accumulates growth.
    limit: float = FIRST_LEVEL
    #: Maximum in flight of all requests while `limit` ramps up to it after a refusal; growth is slower above it.
    #: None before the first refusal.
    target: float | None = None

    @property
    def overall(self) -> float:
        """Return the level for all requests, those from before the last refusal included."""
        return self.limit if self.target is None or self.target < self.limit else self.target


def places(level: float, most: int) -> int:
    """Return the whole requests in flight that a level of 1 or more allows."""
    return int(level) if level < most else most


def grown(level: Level, most: int, *, paced: bool) -> Level:
    """Return the level after a success that it limited: doubled per round trip up to the target, then gently."""
    gentle = GENTLE if paced else 1.0 / level.limit
    step = 1.0 if level.target is None or level.limit < level.target else gentle
    return Level(min(float(most), level.limit + step), level.target)


def restarted(level: Level, *, cut: bool) -> Level:
    """Return the level after a refusal: the target, halved if `cut`, and a quarter of it to start from."""
    target = max(1.0, level.limit * CUT if cut else level.overall)
    return Level(max(1.0, target * RESTART), target)


def resumed(level: Level) -> Level:
    """Return the level after an outage or a pause: the target as it was, and a sixteenth of it to start from."""
    return Level(max(1.0, level.overall * RESTART * RESTART), level.overall)


def eased(level: Level, in_flight: int) -> Level:
    """Return the level after a refusal for concurrency: somewhat lower, growing gently from there."""
    limit = max(1.0, EASED * min(level.limit, float(in_flight)))
    return Level(limit, limit)


def own_wait_s(refusals: int) -> float:
    """Return our own wait in seconds after `refusals` earlier ones without a success in between."""
    return min(MOST_OWN_WAIT_S, OWN_WAIT_S * 2.0 ** min(refusals, 10))


def lengthened(wait_s: float, jitter: float) -> float:
    """Return the wait lengthened by jitter, U(0, 1): never shorter than stated."""
    return wait_s + jitter * min(MOST_JITTER_S, max(LEAST_JITTER_S, JITTER * wait_s))

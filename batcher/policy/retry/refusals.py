"""When a row is refused because of itself rather than of a rate: others are answered, and it is refused again.

A refusal (429) is about the lane as a rule. Refused alone, time and again, a row is too large for a limit, or a
filter answers so. Times are seconds of a monotonic clock.
"""

from typing import Final

from msgspec import Struct

#: Refusals of one row, alone, after which it is at fault.
MOST_ALONE: Final = 5
#: The same among refusals of others, while others are answered as well.
MOST_BESIDE_ANSWERS: Final = 20
#: With no other row left to compare with, refusals count once in so many seconds: limits per minute pass then.
ALONE_SECONDS: Final = 20.0


class RowRefusals(Struct, frozen=True, kw_only=True):
    """The refusals of one row, and what its lane had done by the last of them."""

    alone: int = 0
    beside_answers: int = 0
    #: When the last one of `alone` was counted.
    counted_at: float = float("-inf")
    lane_refused: int = 0
    lane_answered: int = 0

    @property
    def are_too_many(self) -> bool:
        """Return whether the row is at fault."""
        return self.alone >= MOST_ALONE or self.beside_answers >= MOST_BESIDE_ANSWERS


class LaneTally(Struct, frozen=True):
    """What a lane has done in this run, this refusal included."""

    refused: int
    answered: int
    #: It has other rows, in hand or waiting.
    has_others: bool


def refused(
    before: RowRefusals, lane: LaneTally, now: float, *, is_plain: bool, answered_since_sent: bool
) -> RowRefusals:
    """Return the refusals after another one.

    `is_plain`: it names neither concurrency nor tokens nor a day, which would explain it.
    """
    beside = before.beside_answers + answered_since_sent
    alone, counted_at = before.alone, before.counted_at
    if not is_plain or (alone and lane.refused > before.lane_refused + 1):
        alone = 0
    if is_plain and _is_not_of_lane(before, lane, now):
        alone, counted_at = alone + 1, now
    return RowRefusals(
        alone=alone,
        beside_answers=beside,
        counted_at=counted_at,
        lane_refused=lane.refused,
        lane_answered=lane.answered,
    )


def _is_not_of_lane(before: RowRefusals, lane: LaneTally, now: float) -> bool:
    """Return whether others were answered meanwhile; with no other left, whether enough time has passed."""
    if lane.answered > before.lane_answered:
        return True
    return not lane.has_others and lane.answered > 0 and now - before.counted_at >= ALONE_SECONDS

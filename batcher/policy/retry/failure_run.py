"""Whose fault a failure is: the row's, or that of everything on its route.

One reply cannot show it. So a failure waits, undecided, until another row of its route shows it. If a row that was
sent later is answered, the earlier ones are at fault. If enough rows, sent one after another, fail for the same
cause, the route is held and one more row is sent to find out. See docs/architecture.md#whose-fault-a-failure-is.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from heapq import heappop, heappush
from itertools import islice
from typing import Final

from msgspec import Struct

#: Identical failures, sent one after another, that hold a route: if it has never answered, and if it has. If one
#: row in three fails at random, eight in a row occur once in 6,561.
HOLD_AFTER: Final = 8
HOLD_AFTER_ANSWERS: Final = 20
#: The same for failures that call for a pause by themselves, such as a refused key.
HOLD_AFTER_BLOCK: Final = 1
HOLD_AFTER_BLOCK_AND_ANSWERS: Final = 8
#: Probes of a held route that fail for other causes, before the route pauses all the same.
MOST_PROBES: Final = 8
#: A position in the name of a parameter, as in `messages[3].content`.
_POSITION: Final = re.compile(r"\d+")
#: Failures of unlike causes that wait at most. Beyond it the older half is decided as if no other row were left.
MOST_UNDECIDED: Final = 1_000


class FailureCause(Struct, frozen=True):
    """What makes two failures the same. `status` is None for a failure without a reply."""

    status: int | None
    code: str
    #: The parameter at fault, "" if the provider names none.
    param: str = ""

    @classmethod
    def of(cls, status: int | None, code: str, param: str) -> "FailureCause":
        """Return the cause of a failure. The position at which each row has the parameter makes no difference."""
        return cls(status, code, _POSITION.sub("N", param))

    def __str__(self) -> str:
        """Return the form in which the store keeps it."""
        return f"{self.status or '-'} {self.code} {self.param}".rstrip()


class Verdict(StrEnum):
    """Who is at fault."""

    #: Not known yet.
    UNDECIDED = "undecided"
    #: The row: a dead letter.
    ROW = "row"
    #: Everything on the route: a pause.
    ROUTE = "route"
    #: No other row is left to ask: this one is sent once more.
    ASK_AGAIN = "ask_again"


class _Failed(Struct, frozen=True):
    cause: FailureCause
    #: It calls for a pause by itself.
    blocks: bool
    #: That pause is about the key, so another send of the same row can show it.
    of_key: bool


class FailureRun:
    """The failures of one route that are undecided. `number` counts the sends of the route, from 1."""

    def __init__(self, *, answered: bool = False, confirmed: frozenset[str] = frozenset()) -> None:
        #: Whether the route has ever been answered, in this run or an earlier one.
        self.has_answered = answered
        #: Causes that a person has confirmed by resuming: their rows are at fault, and what calls for a pause by
        #: itself counts as any other failure.
        self.confirmed = confirmed
        #: The cause for which the route is held: nothing but one probe at a time is sent.
        self.held_for: FailureCause | None = None
        self._undecided: dict[int, _Failed] = {}
        #: Their numbers as a heap, the lowest first; some may be decided already.
        self._lowest: list[int] = []
        #: Numbers of sends that came back without saying anything about a cause: refusals by a limit, faults.
        self._said_nothing: set[int] = set()
        self._probes = 0
        self._asked_again = False

    def failed(
        self, number: int, cause: FailureCause, *, blocks: bool, of_key: bool = False, probe: bool = False
    ) -> Verdict:
        """Add a failure; return whose fault it is. `probe`: it was sent while the route was held.

        ROUTE is about every undecided failure of `held_for`.
        """
        if str(cause) in self.confirmed:
            if not blocks:
                return Verdict.ROW
            blocks = of_key = False
        self._undecided[number] = _Failed(cause, blocks, of_key)
        heappush(self._lowest, number)
        if self.held_for is None:
            if self._in_a_row(number) >= self._limit(blocks=blocks):
                self.held_for = cause
            return Verdict.UNDECIDED
        if not probe:
            return Verdict.UNDECIDED
        self._probes += 1
        if cause != self.held_for and self._probes < MOST_PROBES:
            return Verdict.UNDECIDED
        if not self.of_held():
            # The rows for which it was held are being asked again.
            self.held_for = cause
        return Verdict.ROUTE

    def said_nothing(self, number: int) -> None:
        """Note a send that was refused by a limit or met a fault: rows before and after it are still in a row."""
        if self._undecided:
            self._said_nothing.add(number)

    def answered(self, number: int) -> list[int]:
        """Note an answer; return the numbers of the failures whose rows are at fault: those sent before it."""
        is_first, self.has_answered = not self.has_answered, True
        if self.held_for is None and not self._undecided:
            return []
        at_fault = []
        while self._lowest and self._lowest[0] < number:
            earlier = heappop(self._lowest)
            if earlier in self._undecided:
                at_fault.append(earlier)
        self.remove(at_fault)
        if is_first and len(self.of_held()) < HOLD_AFTER_BLOCK_AND_ANSWERS:
            # It was held as a route that never answers: now more rows must fail alike.
            self._end_hold()
        return at_fault

    def overflowing(self) -> list[int]:
        """Return failures whose rows are at fault because too many wait: no cause is behind enough in a row."""
        if self.held_for is not None or len(self._undecided) <= MOST_UNDECIDED:
            return []
        at_fault = list(islice(self._undecided, MOST_UNDECIDED // 2))
        self.remove(at_fault)
        return at_fault

    def exhausted(self) -> dict[int, Verdict]:
        """Return whose fault each failure is, as no other row can be asked. Call it after the last has come back.

        If it is the route's, `held_for` names the cause for which it pauses.
        """
        faults = {number: self._alone(number) for number in self._undecided}
        causes = [self._undecided[number].cause for number, fault in faults.items() if fault is Verdict.ROUTE]
        if causes and self.held_for not in causes:
            self.held_for = causes[0]
        return faults

    def of_held(self) -> list[int]:
        """Return the failures for which the route is held."""
        return [number for number, failed in self._undecided.items() if failed.cause == self.held_for]

    def ask_again(self, numbers: Iterable[int]) -> None:
        """Note that the rows of these failures are sent once more, as probes of the route, which is held."""
        for number in numbers:
            self.held_for = self._undecided.pop(number).cause
            self._asked_again = True

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget failures that are decided. The hold ends with the last failure of its cause."""
        for number in numbers:
            del self._undecided[number]
        if not self._undecided:
            self._lowest.clear()
            self._said_nothing.clear()
        if self.held_for is not None and not self.of_held():
            self._end_hold()

    def _end_hold(self) -> None:
        self.held_for, self._probes, self._asked_again = None, 0, False

    def _alone(self, number: int) -> Verdict:
        failed = self._undecided[number]
        if failed.of_key and self.has_answered:
            return Verdict.ROUTE if self._asked_again else Verdict.ASK_AGAIN
        if failed.cause == self.held_for and not failed.blocks:
            return Verdict.ROUTE
        # Where nothing was ever answered, what came between was no answer either.
        alike = self._in_a_row(number) if self.has_answered else self._count(failed.cause)
        return Verdict.ROUTE if alike >= self._limit(blocks=failed.blocks) else Verdict.ROW

    def _count(self, cause: FailureCause) -> int:
        return sum(failed.cause == cause for failed in self._undecided.values())

    def _limit(self, *, blocks: bool) -> int:
        if blocks:
            return HOLD_AFTER_BLOCK_AND_ANSWERS if self.has_answered else HOLD_AFTER_BLOCK
        return HOLD_AFTER_ANSWERS if self.has_answered else HOLD_AFTER

    def _in_a_row(self, number: int) -> int:
        """Return how many failures of the same cause were sent one after another, this one among them."""
        return 1 + sum(1 for step in (-1, 1) for _ in self._same_from(number, step))

    def _same_from(self, number: int, step: int) -> Iterator[int]:
        cause = self._undecided[number].cause
        at = number + step
        while True:
            found = self._undecided.get(at)
            if found is not None and found.cause == cause:
                yield at
            elif at not in self._said_nothing:
                return
            at += step

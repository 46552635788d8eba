"""A model of the store in memory, which the state machine compares with the store."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from batcher.domain.requests import Claim
from batcher.store.queue.runners import WORKER_LOST_AFTER


@dataclass(eq=False)
class Answer:
    """One answer of the provider, and the job that requested it."""

    job: int


@dataclass(eq=False)
class ModelRow:
    """The expected state of a row."""

    job: int
    body: bytes
    shares: bool
    state: str = "pending"
    sends: int = 0
    spent: int = 0
    lost: int = 0
    revision: int = 0
    not_before: int = 0
    answer: Answer | None = None


@dataclass
class Model:
    """The expected contents of the store, by custom_id."""

    rows: dict[str, ModelRow] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    #: Every stored answer.
    answers: list[Answer] = field(default_factory=list)
    #: The latest answer to each shared body.
    cache: dict[bytes, Answer] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        return Counter(row.state for row in self.rows.values())

    def of(self, job: int) -> dict[str, ModelRow]:
        return {name: row for name, row in self.rows.items() if row.job == job}

    def sharing_rows(self, row: ModelRow) -> Iterator[ModelRow]:
        """Yield the row and those that wait for its answer."""
        yield row
        for each in self.rows.values():
            same = each.shares and row.shares and each.body == row.body and each.job == row.job
            if same and each is not row and each.state == "pending":
                yield each

    def complete(self, row: ModelRow) -> None:
        """Answer the row and those that wait for it."""
        answer = Answer(row.job)
        self.answers.append(answer)
        if row.shares:
            self.cache[row.body] = answer
        for each in list(self.sharing_rows(row)):
            each.state, each.answer = "completed", answer

    def dead_letter(self, row: ModelRow) -> None:
        """Dead-letter the row and those that wait for it."""
        for each in list(self.sharing_rows(row)):
            each.state = "dead_lettered"

    def give_back(self, row: ModelRow) -> None:
        row.state, row.not_before = "cancelled" if row.job in self.cancelled else "pending", 0

    def release(self, row: ModelRow) -> None:
        """Release a row that was claimed and never sent."""
        self.give_back(row)
        row.sends -= 1

    def was_sent(self, late: Claim) -> None:
        """A claim of earlier times was sent after all: its number, if it was given back, is used."""
        row = self.rows.get(late.custom_id)
        if row is not None:
            row.sends = max(row.sends, late.send)

    def lose(self, row: ModelRow) -> None:
        """Count that the row's holder died."""
        self.give_back(row)
        if row.state == "pending":
            row.lost += 1
            if row.lost >= WORKER_LOST_AFTER:
                self.dead_letter(row)

    def known(self, row: ModelRow, *, from_earlier: bool) -> Answer | None:
        """Return the answer that the row could get without being sent."""
        answer = self.cache.get(row.body) if row.shares else None
        return answer if answer is not None and (from_earlier or answer.job == row.job) else None

    def delete(self, job: int) -> None:
        """Delete the job; those of its answers that rows of other jobs share are kept."""
        self.rows = {name: row for name, row in self.rows.items() if row.job != job}
        self.cancelled.discard(job)
        jobs = {row.job for row in self.rows.values()}
        used = {id(row.answer) for row in self.rows.values()}
        self.answers = [each for each in self.answers if each.job in jobs or id(each) in used]
        self.cache = {body: each for body, each in self.cache.items() if each in self.answers}

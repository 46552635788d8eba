"""What a store should hold, in memory and in a few words: the model that the state machine compares it with."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from batcher.store.queue.runners import WORKER_LOST_AFTER


@dataclass(eq=False)
class Answer:
    """One reply of the provider, and the job that asked for it."""

    job: int


@dataclass(eq=False)
class ModelRow:
    """What should be known of a row."""

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
    """What should be in the store, by custom_id."""

    rows: dict[str, ModelRow] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    #: Every answer that is kept.
    answers: list[Answer] = field(default_factory=list)
    #: The last answer to a body that rows share.
    cache: dict[bytes, Answer] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        return Counter(row.state for row in self.rows.values())

    def of(self, job: int) -> dict[str, ModelRow]:
        return {name: row for name, row in self.rows.items() if row.job == job}

    def twins(self, row: ModelRow) -> Iterator[ModelRow]:
        """The row and those that wait for its answer."""
        yield row
        for each in self.rows.values():
            same = each.shares and row.shares and each.body == row.body and each.job == row.job
            if same and each is not row and each.state == "pending":
                yield each

    def complete(self, row: ModelRow) -> None:
        """The row is answered, and those that wait for it with it."""
        answer = Answer(row.job)
        self.answers.append(answer)
        if row.shares:
            self.cache[row.body] = answer
        for each in list(self.twins(row)):
            each.state, each.answer = "completed", answer

    def bury(self, row: ModelRow) -> None:
        """The row dies, and those that wait for it with it."""
        for each in list(self.twins(row)):
            each.state = "dead_lettered"

    def give_back(self, row: ModelRow) -> None:
        row.state, row.not_before = "cancelled" if row.job in self.cancelled else "pending", 0

    def release(self, row: ModelRow) -> None:
        """It was claimed and never sent."""
        self.give_back(row)
        row.sends -= 1

    def lose(self, row: ModelRow) -> None:
        """Its holder died with it."""
        self.give_back(row)
        if row.state == "pending":
            row.lost += 1
            if row.lost >= WORKER_LOST_AFTER:
                self.bury(row)

    def known(self, row: ModelRow, *, from_earlier: bool) -> Answer | None:
        """The answer that the row could have without being sent."""
        answer = self.cache.get(row.body) if row.shares else None
        return answer if answer is not None and (from_earlier or answer.job == row.job) else None

    def delete(self, job: int) -> None:
        """The job goes; of its answers those stay that rows of other jobs share."""
        self.rows = {name: row for name, row in self.rows.items() if row.job != job}
        self.cancelled.discard(job)
        jobs = {row.job for row in self.rows.values()}
        used = {id(row.answer) for row in self.rows.values()}
        self.answers = [each for each in self.answers if each.job in jobs or id(each) in used]
        self.cache = {body: each for body, each in self.cache.items() if each in self.answers}

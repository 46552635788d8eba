"""Checks the invariants (docs/reliability.md#invariants) from outside, after every transaction and request.

It reads the store over its own connection and the provider's journal, and trusts nothing else.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batcher.domain.events import Event, RequestsSettled
from batcher.domain.lanes import Charge
from tests.simulation.laws import SELECT_ROWS, Actor, Row, is_lawful
from tests.simulation.process import Process
from tests.simulation.scenario import UNDECIDED, Fate
from tests.support.counted import miscounted

if TYPE_CHECKING:
    from tests.simulation.provider import Arrival
    from tests.simulation.world import World

#: Operations that change no request; if one does, it is noticed at the next operation.
QUIET = frozenset({"beat", "add_active", "save_lane", "open_lane", "pause", "job", "finish"})
#: Tolerance in seconds for sums of floats.
ROUNDING_S = 1e-6
TERMINAL = frozenset({"completed", "dead_lettered", "cancelled"})


class Broken(AssertionError):
    """An invariant does not hold."""


def require(holds: object, invariant: str, *facts: object) -> None:
    if not holds:
        raise Broken(f"{invariant}: {', '.join(str(fact) for fact in facts)}")


@dataclass(eq=False)
class Hold:
    """A wait that a 429 asked for: nothing may be sent on the lane until then."""

    since: float
    until: float
    refused: "Arrival"


class Watcher:
    """Observes everything that happens in one world."""

    def __init__(self, world: "World", path: Path) -> None:
        self._world = world
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._living: list[Process] = []
        self._holds: dict[str, list[Hold]] = defaultdict(list)
        #: Arrivals of each request since its last redrive.
        self.since: dict[int, list[Arrival]] = defaultdict(list)
        #: Sends that came back as failures which other rows decide.
        self._failed: set[tuple[int, int]] = set()
        self._names: set[tuple[int, int]] = set()
        #: Jobs whose delete has begun; an interrupted delete may leave a part of them.
        self.deleted: set[int] = set()
        #: Requests that were settled after some transaction.
        self._been_at_end: set[int] = set()
        #: Sent and not settled when its process was killed or failed.
        self.lost: set[tuple[int, int]] = set()
        self.kills = 0

    def ask(self, query: str, *values: Any) -> list[Any]:
        return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        self._connection.close()

    def rows(self) -> dict[int, Row]:
        """Return the requests as they were after the last transaction."""
        return {number: Row(*row) for number, row in self._rows.items()}

    # --- processes ---

    def began(self, process: Process) -> None:
        require(not [each for each in self._living if each.holder is not None], "one runner at a time")
        self._living.append(process)

    def ended(self, process: Process, *, has_failed: bool = False) -> None:
        """Record that a process ended by itself (idempotent). One that failed could not save everything."""
        if process not in self._living:
            return
        self._living.remove(process)
        self._settle(process)
        require(
            has_failed or not process.out, "I5 who ends in order leaves nothing out", process.name, process.out
        )
        self._few_are_out(process)
        self.lost |= process.out
        self._keep_holds(process)

    def died(self, process: Process) -> None:
        self.kills += 1
        self.ended(process, has_failed=True)

    def clock_moved(self) -> None:
        """Drop the holds of ended processes: a new process cannot interpret times of the old clock."""
        for model, holds in self._holds.items():
            self._holds[model] = [hold for hold in holds if hold.refused.process in self._living]

    def _keep_holds(self, process: Process) -> None:
        """Keep a hold of an ended process only if it was saved, and by the present clock: others bind no one."""
        moved = process.clock_off_us != self._world.clock_off_us
        for model, holds in self._holds.items():
            self._holds[model] = [
                hold
                for hold in holds
                if hold.refused.process is not process or not (moved or hold.refused.name in process.out)
            ]

    def _few_are_out(self, process: Process) -> None:
        most = self._world.scenario.concurrency
        if most is not None:
            # What failed and waits for its verdict is out as well: it is over, and most of it cost nothing.
            open_ = [name for name in process.out if name not in self._failed]
            require(len(open_) <= 2 * most, "I5 at most twice the concurrency out", open_)

    # --- transactions ---

    def committed(self, process: Process) -> None:
        """Check a transaction of the process that is on disk."""
        if process.doing not in QUIET:
            self._look(Actor(process.doing, process.holder, self._holders()))
        if process.doing in {"settle", "exchange"}:
            self._settle(process)
        if process.doing == "pause":
            self._world.autopsy.is_pause_explained(process)

    def _holders(self) -> frozenset[int]:
        return frozenset(each.holder for each in self._living if each.holder is not None)

    def _look(self, actor: Actor) -> None:
        before = self._rows
        self._rows = {row[0]: row for row in self.ask(SELECT_ROWS)}
        for number, row in self._rows.items():
            if before.get(number) != row:
                self._been_at_end |= {number} if Row(*row).state in TERMINAL else set()
                self._changed(actor, before.get(number), Row(*row))
        gone = [before[number][1] for number in before.keys() - self._rows.keys()]
        require(not gone or actor.doing in {"delete", "submit"}, "I4 nothing disappears", actor, gone)
        self.deleted.update(gone)
        wrong = miscounted(self.ask)
        require(not wrong, "I1 the counts that are kept are those of the rows", actor, wrong)

    def _changed(self, actor: Actor, known: tuple[Any, ...] | None, new: Row) -> None:
        if known is None:
            require(actor.doing == "submit" and new.state == "pending", "only a submission adds rows", actor, new)
            return
        if actor.doing == "submit":
            return
        old = Row(*known)
        if not is_lawful(actor, old, new):
            law = "I11 the dead write nothing" if actor.doing == "late" else "I2 rows move by the table of states"
            raise Broken(f"{law}: {actor}\n  turns {old}\n  into {new}")
        self._world.trace(actor.doing, new)
        if old.state == "dead_lettered" and new.state == "pending":
            self.since[new.id] = []
        if new.state == "completed":
            self._is_answered_rightly(new)
        elif new.state == "dead_lettered":
            self._world.autopsy.is_explained(new)
        elif new.state == "cancelled" and actor.doing not in {"cancel", "delete", "discard"}:
            job = self.ask("SELECT state FROM jobs WHERE id = ?", new.job)
            require(job == [("cancelled",)], "only a person cancels a row", actor, new, job)
        sent = self._world.autopsy.spending(new)
        require(new.spent <= len(sent), "I13 only what came back badly spends an attempt", new, sent)

    def _is_answered_rightly(self, row: Row) -> None:
        """I3: the answer is one that the provider gave for exactly this body, byte for byte."""
        asked, body = self.ask("SELECT request_id, body FROM responses WHERE id = ?", row.response)[0]
        given = self._world.provider.answers.get(body)
        require(given is not None and given.told, "I3 no answer was told in these words", row, body)
        assert given is not None
        own = self.ask("SELECT body FROM bodies WHERE request_id = ?", row.id)[0][0]
        require(given.body == own, "I3 an answer belongs to its request", row, given)
        require(asked == given.request, "I3 who asked is written down", row, given)
        if asked == row.id:
            require(given.send == row.sends, "I3 an answer belongs to its send", row, given)

    def _settle(self, process: Process) -> None:
        """Record which rows of a process are settled on disk."""
        settled = "SELECT 1 FROM attempts WHERE request_id = ? AND send = ? AND kind != 'lost'"
        process.out = {name for name in process.out if not self.ask(settled, *name)}

    # --- requests and replies ---

    def arrived(self, arrival: "Arrival") -> Charge:
        """Check a request that arrived; return its estimated cost."""
        found = self.ask(
            "SELECT requests.state, sends, holder_id, bodies.body, est_input, est_output, jobs.state FROM requests"
            " JOIN bodies ON bodies.request_id = requests.id JOIN jobs ON jobs.id = job_id WHERE requests.id = ?",
            arrival.request,
        )
        require(found, "what is sent is in the store", arrival)
        state, sends, holder, body, est_input, est_output, job = found[0]
        claimed = (state, sends, holder) == ("claimed", arrival.send, arrival.process.holder)
        require(claimed, "I8 nothing is sent before its claim is on disk", arrival, found)
        require(body == arrival.body, "the file's own bytes go out", arrival)
        require(job != "submitting", "a job that is being loaded is invisible", arrival)
        require(arrival.name not in self._names, "each send has a name of its own", arrival)
        self._names.add(arrival.name)
        self._is_not_too_early(arrival)
        arrival.process.out.add(arrival.name)
        self._few_are_out(arrival.process)
        self.since[arrival.request].append(arrival)
        return Charge(input_tokens=est_input, output_tokens=est_output)

    def _is_not_too_early(self, arrival: "Arrival") -> None:
        for hold in self._holds[arrival.model]:
            early = hold.since + ROUNDING_S < arrival.at < hold.until - ROUNDING_S
            require(not early, "I7 never earlier than Retry-After", arrival, hold)

    def told(self, arrival: "Arrival", headers: Mapping[str, str]) -> None:
        """Record that a reply reached its process."""
        self._world.trace("told", arrival.name, arrival.fate.value)
        if arrival.fate in UNDECIDED:
            self._failed.add(arrival.name)
        if arrival.fate in {Fate.REFUSED, Fate.OVERLOADED} and "retry-after-ms" in headers:
            now = self._world.now()
            until = now + int(headers["retry-after-ms"]) / 1000
            self._holds[arrival.model].append(Hold(now, until, arrival))

    def emitted(self, process: Process, event: Event) -> None:
        """I4: a row that is reported as settled is settled."""
        if process.alive and isinstance(event, RequestsSettled):
            for number in (*event.completed, *event.dead_lettered):
                row = self._rows.get(number)
                # With concurrent flushes the report comes after the commit; the row may be redriven in between.
                was = self._world.scenario.flushes_beside and number in self._been_at_end
                require(row is None or Row(*row).state in TERMINAL or was, "I4 what is told is on disk", row)

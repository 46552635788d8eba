"""One simulated world: a store, a provider, people, and processes that start and end; all from one seed."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

from batcher.budget.lanes import LaneBudgets
from batcher.domain.errors import BatcherError
from batcher.domain.events import Event
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.files.source import Source
from batcher.ports import Sender
from batcher.services.jobs import line_chunks
from batcher.services.jobs import submit as submitting
from batcher.services.jobs.background_writer import BackgroundWriter
from batcher.services.jobs.options import SubmitOptions
from batcher.services.jobs.submit import submit_file
from batcher.services.runs import run as running
from batcher.services.runs.run import Parts, RunControl, RunEnd, run_jobs
from batcher.store.jobs import jobs
from batcher.store.sqlite import file_locks, store_port
from batcher.store.sqlite.database import Database
from batcher.worker.worker import Worker
from tests.simulation.autopsy import Autopsy
from tests.simulation.process import Process, SimFlights, SimQueue
from tests.simulation.provider import SimProvider
from tests.simulation.scenario import DiskFault, Scenario
from tests.simulation.watcher import Watcher
from tests.support.inline_validator import inline_validator
from tests.support.one_engine import one_engine

BASE_URL = "http://127.0.0.1:9/v1"


@dataclass
class Door:
    """`ports.Sender` of one process."""

    process: Process

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        return await self.process.world.provider.exchange(self.process, body, client_request_id)


@dataclass
class Ear:
    """`ports.Events` of one process."""

    process: Process

    def emit(self, event: Event) -> None:
        self.process.world.watcher.emitted(self.process, event)

    def is_behind(self, job_id: JobId) -> bool:
        return False


class AtOnce(BackgroundWriter):
    """Do the work at once: virtual time must not race a thread."""

    def submit(self, work: Callable[[], None]) -> None:
        work()


class World:
    """The state that all processes share."""

    def __init__(self, scenario: Scenario, folder: Path, tell: Callable[[str], None] | None) -> None:
        self.scenario = scenario
        self._tell = tell
        self.path = folder / "batcher.db"
        #: Microseconds by which the wall clock was moved.
        self.clock_off_us = 0
        self.provider = SimProvider(scenario)
        self.watcher = Watcher(self, self.path)
        self.autopsy = Autopsy(self)
        #: The boot id of the machine; it changes after a power cut.
        self.boot = 1
        self.processes: list[Process] = []
        self.controls: list[tuple[Process, RunControl]] = []
        self.submitted = 0
        self._commits = 0
        self._digest = hashlib.sha256()
        #: The last lines of the trace.
        self.lines: list[str] = []

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def trace(self, *facts: object) -> None:
        line = f"{self.now():.6f} {' '.join(str(fact) for fact in facts)}"
        self._digest.update(line.encode())
        self.lines.append(line)
        if self._tell is not None:
            self._tell(line)

    def digest(self) -> str:
        """Identifies everything that happened."""
        return self._digest.hexdigest()

    def disk_fault(self) -> DiskFault | None:
        self._commits += 1
        return self.scenario.disk_faults.get(self._commits) if self.provider.moody else None

    def process(self, kind: str, *, mortal: bool = True) -> Process:
        """Start a process. The first processes of a world may be due to die."""
        number = len(self.processes)
        runners = sum(each.name.startswith(kind) for each in self.processes)
        fated = self.scenario.deaths[runners : runners + 1] if mortal and self.provider.moody else ()
        made = Process(self, f"{kind} {number}", dies_at=next(iter(fated), 0))
        self.processes.append(made)
        return made

    def unfinished(self) -> list[JobId]:
        """Return the jobs that are not finished."""
        return [row[0] for row in self.watcher.ask("SELECT id FROM jobs WHERE state = 'open'")]

    def is_succeeded(self, dead: Process) -> bool:
        """Return whether another process has taken over the claims of a dead one."""
        ended = self.watcher.ask("SELECT 1 FROM holders WHERE id = ? AND ended_at IS NOT NULL", dead.holder)
        return bool(ended)

    # --- what people run ---

    def submit(self, bodies: Sequence[dict[str, Any]], process: Process) -> Job | None:
        """Run `batcher submit` as this process."""
        self.submitted += 1
        lines = [
            {"custom_id": f"r{place}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            for place, body in enumerate(bodies, 1)
        ]
        content = BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
        source = Source(content, name=f"job{self.submitted}.jsonl", packing="")
        scenario = self.scenario
        settings = JobSettings(
            base_url=BASE_URL,
            limits=scenario.given,
            timeout=scenario.timeout,
            max_wait=scenario.max_wait,
            reuse_earlier=self.submitted == 2,
        )

        def load() -> Job:
            options = SubmitOptions(new=True)
            return submit_file(process.database, source, settings, options, clock=process.clock).job

        return process.do("submit", load)

    async def run(self, process: Process, wanted: Sequence[JobId] | None = None) -> RunEnd | None:
        """Run `batcher resume` as this process, for these jobs or for all unfinished ones."""
        if wanted is None:
            found = process.do("begin", lambda: _unfinished(process.database))
            wanted = [job.id for job in found or ()]
        control = RunControl()
        self.controls.append((process, control))
        life = run_jobs(
            process.database,
            wanted,
            self._parts(process),
            events=Ear(process),
            concurrency=self.scenario.concurrency,
            control=control,
            handed_over=lambda _: None,
        )
        end = await process.live(life)
        self.controls.remove((process, control))
        self.trace(process.name, "ended", end)
        return end

    def _parts(self, process: Process) -> Parts:
        @asynccontextmanager
        async def sender(_job: Job, _base_url: str) -> AsyncIterator[Sender]:
            yield Door(process)

        return Parts(
            clock=process.clock,
            queue=SimQueue,
            runner=Worker,
            budget=lambda most: LaneBudgets(process.clock, most_in_flight=most),
            writer=process.writer,
            sender=sender,
            simulator=_no_simulator,
            validator=inline_validator,
            jitter=self.scenario.random.random,
        )

    def signal(self, *, at_once: bool) -> None:
        """Send SIGTERM to every runner, once or twice."""
        for _, control in list(self.controls):
            control.drain(5.0)
            if at_once:
                control.stop()

    @contextmanager
    def as_machine(self) -> Iterator[None]:
        """Let the world answer what processes ask the machine."""
        with one_engine(), ExitStack() as patches:
            for target, name, value in (
                (running, "_boot", lambda: f"start {self.boot}"),
                (store_port, "FileInFlightLog", SimFlights),
                (line_chunks, "_CHUNK_ROWS", 7),
                (submitting, "BackgroundWriter", AtOnce),
                (file_locks, "_PATIENCE_SECONDS", 0.0),
            ):
                patches.enter_context(mock.patch.object(target, name, value))
            yield


def _no_simulator() -> AbstractAsyncContextManager[str]:
    raise BatcherError("there is no provider within this provider")


def _unfinished(database: Database) -> list[Job]:
    with database.read() as connection:
        return jobs.unfinished(connection)

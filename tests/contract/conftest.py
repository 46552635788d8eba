"""Fixtures of the contract tests: a real store of each engine in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from batcher.domain.ids import HolderId
from batcher.domain.jobs import Job
from batcher.domain.requests import ClaimResult
from batcher.ports import Queue, Store, Writer
from batcher.store.queue.adapter import SqlQueue
from tests.support.engines import ENGINES
from tests.support.inline_writer import InlineWriter
from tests.support.stores import (
    PLENTY,
    Holder,
    ManualClock,
    holder_of,
    new_holder,
    routes_of,
    wants,
)


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's name
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the sender's tests on both event loops; the store does not depend on the loop."""
    plain: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    return plain | {"uvloop": uvloop.new_event_loop} if item.path.parent.name == "sender" else plain


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = ENGINES[request.param].open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def holder(database: Store, clock: ManualClock) -> Holder:
    return holder_of(database, clock)


@pytest.fixture(params=[lambda store: store.start_writer(), InlineWriter], ids=["own", "inline"])
async def writer(request: pytest.FixtureRequest, database: Store) -> AsyncIterator[Writer]:
    make: Callable[[Store], Writer] = request.param
    made = make(database)
    yield made
    made.close()


@pytest.fixture
def me(database: Store) -> HolderId:
    return new_holder(database)


@pytest.fixture
def queue(writer: Writer, clock: ManualClock, me: HolderId) -> Queue:
    return SqlQueue(writer, me, clock)


@pytest.fixture
def ask(queue: Queue, database: Store):
    """Claims from all routes of the given jobs."""

    async def claim(*of: Job, most: int = 1000, most_bytes: int = PLENTY, alone: bool = False) -> ClaimResult:
        return await queue.claim(wants(routes_of(database, *of), most), most_bytes=most_bytes, alone=alone)

    return claim

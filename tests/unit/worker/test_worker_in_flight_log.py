"""Whoever comes after a killed runner must know of every request that went out."""

from pathlib import Path

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.ids import HolderId
from batcher.store.sqlite.in_flight_log import FileInFlightLog, last_sent
from tests.support.providers import FakeProvider, chats
from tests.support.workers import Rig

BOOT = "11111111-2222-3333-4444-555555555555"


class Witness(FakeProvider):
    """Looks, at every request that arrives, at what the log says is out."""

    store: Path
    arrived = 0

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        known = last_sent(self.store, boot=BOOT)
        assert known is not None
        _, request, send = client_request_id.rsplit("-", 2)
        assert (int(request), int(send)) in known.sends
        self.arrived += 1
        return await super().send(path=path, body=body, client_request_id=client_request_id)


async def test_each_is_on_record_before_it_is_sent_and_none_when_all_is_settled(rig: Rig):
    rig.provider = witness = Witness()
    witness.store = rig.database.path
    job = rig.submit(chats(50))
    log = FileInFlightLog(rig.database.path, holder=HolderId(1), boot=BOOT)
    await rig.worker(concurrency=8, flights=log).run([job.id])
    log.close()
    assert witness.arrived == 50
    known = last_sent(rig.database.path, boot=BOOT)
    assert known is not None
    assert known.sends == frozenset()

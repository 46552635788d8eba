from tests.support.virtual_time import virtual_loops as pytest_asyncio_loop_factories
from tests.unit.worker.conftest import rig

__all__ = ["pytest_asyncio_loop_factories", "rig"]

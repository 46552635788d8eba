"""An OpenAI-compatible provider on loopback with limits, latency and faults, for trials and for tests.

    server ─► provider ─► bodies, faults, buckets, answers          journal ─► tally

`buckets` and `provider` use no clock and no network, so they also work in virtual time.
"""

from typing import TYPE_CHECKING

from batcher.simulate.journal import Entry, Journal
from batcher.simulate.settings import SimulatedProvider
from batcher.simulate.tally import Stats

if TYPE_CHECKING:
    from batcher.simulate.server import RunningServer, SimulatedServer, start

__all__ = ["Entry", "Journal", "RunningServer", "SimulatedProvider", "SimulatedServer", "Stats", "start"]


def __getattr__(name: str) -> object:
    """Import the server on first use: importing aiohttp takes a quarter of a second."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from batcher.simulate import server  # noqa: PLC0415 -- see the docstring

    return getattr(server, name)

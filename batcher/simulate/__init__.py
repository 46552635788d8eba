"""An OpenAI-compatible provider on loopback with limits, latency and faults, for trying out and for tests.

    server ─► provider ─► bodies, faults, buckets, answers          journal ─► tally

`buckets` and `provider` know no clock and no network: they serve in virtual time as well.
"""

from typing import TYPE_CHECKING

from batcher.simulate.journal import Entry, Journal
from batcher.simulate.settings import SimulatedProvider
from batcher.simulate.tally import Stats

if TYPE_CHECKING:
    from batcher.simulate.server import RunningServer, SimulatedServer, start

__all__ = ["Entry", "Journal", "RunningServer", "SimulatedProvider", "SimulatedServer", "Stats", "start"]


def __getattr__(name: str) -> object:
    """The server on first use: aiohttp costs a quarter of a second to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from batcher.simulate import server  # noqa: PLC0415 -- see the docstring

    return getattr(server, name)

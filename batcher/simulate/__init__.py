"""An OpenAI-compatible provider on loopback with limits, latency and faults, for trials and for tests.

server     the aiohttp server around the provider
provider   decides the reply to each request; no clock and no network, so it also works in virtual time
settings   limits, latency, faults and API key
bodies     the request body of each endpoint, validated, and its cost in tokens
buckets    the rate limiter: token buckets as pure arithmetic
faults     faults that a row requests in `metadata.simulate`, and random ones
catalogue  errors that can be requested by status or code
problems   error replies in OpenAI's wording
answers    the answers to chats, completions, responses, embeddings and moderations
content    generated sentences and embedding vectors
instances  generated instances of JSON schemas
draws      reproducible random draws
journal    records requests and their replies
tally      counts of requests, and the busiest windows
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

"""Journal of the simulated provider: always counts, and every request if a file or a list is requested."""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from batcher.simulate.tally import Stats, Tally


class Entry(Struct, frozen=True, kw_only=True):
    """One request, recorded when it ends."""

    #: Time of arrival: seconds of the event loop's clock, and UTC microseconds (None without a clock).
    at: float
    wall: int | None
    method: str
    path: str
    model: str | None
    #: Digest of path and body, in hex.
    body: str
    #: None: the connection ended without a reply.
    status: int | None
    #: Tokens charged at admission; None: not admitted.
    charge: float | None
    client_request_id: str | None


def _open_private(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "ab", buffering=0)


class Journal:
    """Counts requests in total and by model; on request, writes each to a file or keeps it in `entries`."""

    def __init__(self, *, path: Path | None = None, keep: bool = False) -> None:
        self.entries: list[Entry] = []
        self._keep = keep
        # Unbuffered, so that a line is complete in the file even if the process is killed.
        self._file = None if path is None else _open_private(path)
        self._all = Tally()
        self._models: defaultdict[str, Tally] = defaultdict(Tally)

    def begin(self, *, at: float, body: bytes, model: str | None, tokens: float | None) -> None:
        """Count a request that arrived at `at`; `tokens` were charged (None: it was not admitted)."""
        for tally in self._tallies(model):
            tally.begin(at, body, tokens)

    def end(self, model: str | None, status: int | None, entry: Callable[[], Entry]) -> None:
        """Count the end of a request. `entry` is called only if entries are kept."""
        for tally in self._tallies(model):
            tally.end(status)
        if self._keep or self._file is not None:
            self._record(entry())

    def stats(self) -> Stats:
        """Return the current counts."""
        return self._all.stats({model: tally.stats({}) for model, tally in sorted(self._models.items())})

    def close(self) -> None:
        """Close the file; the counts stay readable."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tallies(self, model: str | None) -> list[Tally]:
        return [self._all] if model is None else [self._all, self._models[model]]

    def _record(self, entry: Entry) -> None:
        if self._keep:
            self.entries.append(entry)
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry) + b"\n")

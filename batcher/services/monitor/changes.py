"""The changes of a run: each event of its runner, passed to everything that shows or records it."""

from typing import Protocol

from batcher.domain.events import Event
from batcher.domain.ids import JobId


class Listener(Protocol):
    """Gets every change. It must be fast, because the runner waits meanwhile."""

    def emit(self, event: Event) -> None:
        """Take note of the event; never raises."""
        ...


class Changes:
    """`ports.Events` for several listeners, in the order given. None of them makes the runner wait."""

    def __init__(self, *listeners: Listener | None) -> None:
        self._listeners = [each for each in listeners if each is not None]

    def emit(self, event: Event) -> None:
        """See `ports.Events`."""
        for listener in self._listeners:
            listener.emit(event)

    def is_behind(self, job_id: JobId) -> bool:  # noqa: ARG002 - the port's
        """See `ports.Events`."""
        return False

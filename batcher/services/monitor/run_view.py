"""What a run looks like at one instant, for whatever shows it: a terminal, a log, a server."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.events import BreakerChanged, DrainStarted, LaneCooling
from batcher.domain.lanes import LaneView
from batcher.domain.outcomes import PauseCause


class RunView(Struct, frozen=True, kw_only=True):
    """The jobs of one command at one instant."""

    #: UTC microseconds.
    at: int
    #: Rows of the jobs, and how many of them are answered, dead letters, and answered without a request.
    total: int
    answered: int = 0
    dead_letters: int = 0
    cached: int = 0
    in_flight: int = 0
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    #: None if the rate is not known.
    seconds_left: float | None = None
    #: The lanes of the jobs, if the runner is this process.
    lanes: Sequence[LaneView] = ()
    #: What holds requests back: a drain and the seconds since it began, a pause, an outage, the last cool-down.
    drain: DrainStarted | None = None
    draining_seconds: float = 0.0
    pause: PauseCause | None = None
    outage: BreakerChanged | None = None
    cooling: LaneCooling | None = None

    @property
    def ended(self) -> int:
        """The number of rows that are answered or dead letters."""
        return self.answered + self.dead_letters

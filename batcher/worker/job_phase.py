"""What a job at work is doing, and what changes that. Every event is possible in every phase."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class JobPhase(Enum):
    """What a job at work is doing. When it has finished, it is no longer at work."""

    #: Its requests are claimed and sent.
    WORKING = auto()
    #: A pause of the job itself: nothing more is claimed, and requests in flight finish.
    PAUSED = auto()
    #: At the last check nothing could be claimed, not even alone: pauses of routes and lanes hold the rest back.
    STUCK = auto()
    #: Cancelled or no longer wanted: nothing more is claimed, and it is forgotten when nothing is in hand.
    LEAVING = auto()


class JobEvent(Enum):
    """What happens to a job at work."""

    #: A person wants it, under these settings: it begins, or goes on after a pause.
    STARTED = auto()
    #: A pause of the job itself begins.
    PAUSED = auto()
    #: A check found nothing that can be claimed, though rows are left.
    NOTHING_CLAIMED = auto()
    #: A check found that its rows are not held back, or not only.
    NOT_HELD_BACK = auto()
    #: One of its requests came into hand.
    CLAIMED = auto()
    #: No one wants it any more.
    DROPPED = auto()


class Remaining(Enum):
    """What remains of a job at work, as far as its runner knows."""

    #: Something is in hand, or may be claimed.
    MORE = auto()
    #: Nothing is in hand, and what may be left waits for a person, with its route or its lane.
    HELD_BACK = auto()
    #: Nothing is in hand, and the queue has nothing more, except what must run alone.
    NOTHING = auto()


_KEPT: Final = {phase: phase for phase in JobPhase}
#: The next phase by event and phase: `_KEPT` and what differs from it.
TRANSITIONS: Final[Mapping[JobEvent, Mapping[JobPhase, JobPhase]]] = {
    JobEvent.STARTED: dict.fromkeys(JobPhase, JobPhase.WORKING),
    JobEvent.PAUSED: {**_KEPT, JobPhase.WORKING: JobPhase.PAUSED, JobPhase.STUCK: JobPhase.PAUSED},
    JobEvent.NOTHING_CLAIMED: {**_KEPT, JobPhase.WORKING: JobPhase.STUCK},
    JobEvent.NOT_HELD_BACK: {**_KEPT, JobPhase.STUCK: JobPhase.WORKING},
    # A claim that was under way when the job was paused or dropped is given back.
    JobEvent.CLAIMED: {**_KEPT, JobPhase.STUCK: JobPhase.WORKING},
    JobEvent.DROPPED: dict.fromkeys(JobPhase, JobPhase.LEAVING),
}

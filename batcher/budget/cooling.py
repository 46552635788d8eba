"""When a lane may send again after a refusal: cool-down, one probe, then traffic."""

from enum import Enum, auto
from math import inf

from batcher.policy.rate.token_bucket import PROBE_PATIENCE_S, lengthened, own_wait_s


class Probe(Enum):
    """The state of the one request that is sent alone after a cool-down."""

    #: Traffic flows.
    NONE = auto()
    #: The next request is the probe.
    DUE = auto()
    #: The probe is in flight, and the others wait for it.
    OUT = auto()


class Cooling:
    """The cool-downs of one lane. Each begins an epoch; a refusal from an earlier epoch changes nothing."""

    __slots__ = ("_patient_until", "_refusals", "epoch", "is_daily", "is_on", "probe", "until")

    def __init__(self) -> None:
        #: Loop time in seconds.
        self.until = -inf
        #: Whether the last cool-down is for a daily limit.
        self.is_daily = False
        #: Whether there is or may be anything to wait for; reset when a wait finds nothing left.
        self.is_on = False
        self.epoch = 0
        self.probe = Probe.NONE
        self._patient_until = -inf
        self._refusals = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent if nothing comes back before; 0: now."""
        if now < self.until:
            return self.until - now
        if self.probe is Probe.OUT:
            if now < self._patient_until:
                return self._patient_until - now
            self.probe = Probe.NONE
        self.is_on = False
        return 0.0

    def admitted(self, now: float, *, patience_s: float = PROBE_PATIENCE_S) -> bool:
        """Note an admitted request; return whether it is the probe.

        Not refused for `patience_s`, it counts as accepted.
        """
        if self.probe is not Probe.DUE:
            return False
        self.probe, self.is_on = Probe.OUT, True
        self._patient_until = now + patience_s
        return True

    def probe_back(self, *, sent: bool) -> None:
        """Record that the probe came back. If it was not sent, the next request becomes the probe."""
        if self.probe is Probe.OUT:
            self.probe = Probe.NONE if sent else Probe.DUE

    def answered(self) -> None:
        """Handle a success: our own waits start small again."""
        self._refusals = 0

    def probe_next(self) -> None:
        """Begin an epoch with one request alone, without a wait."""
        self.epoch += 1
        self.probe = Probe.DUE

    def hold_until(self, until: float, *, is_daily: bool = False) -> None:
        """Admit nothing before `until`, then one request alone. Only ever extends the wait."""
        if until > self.until:
            self.until, self.is_daily, self.is_on = until, is_daily, True
            self.probe = Probe.DUE

    def refused(
        self, now: float, *, stated_wait_s: float | None, jitter: float, epoch: int, is_daily: bool = False
    ) -> bool:
        """Handle a refusal of a request of `epoch`. Returns whether it was new, and so began the next epoch.

        A time that the server stated is always kept; our own wait grows only with a new refusal, so that one burst
        of refusals counts as one.
        """
        news = epoch == self.epoch
        if news:
            self.epoch += 1
        wait_s = stated_wait_s if stated_wait_s is not None else own_wait_s(self._refusals) if news else None
        if wait_s is not None:
            self.hold_until(now + lengthened(wait_s, jitter), is_daily=is_daily)
        self._refusals += news
        return news

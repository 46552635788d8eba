"""What holds the next request of a lane back."""

from enum import StrEnum

from msgspec import Struct


class Why(StrEnum):
    """What holds the next request back."""

    #: A cool-down, or its probe.
    PROVIDER = "provider"
    #: The cool-down of a daily limit.
    DAY = "day"
    #: The process has its most requests in flight.
    PROCESS = "process"
    #: The lane has as many as its level allows.
    LEVEL = "level"
    RPM = "rpm"
    #: The rate that was found out where nobody names a limit.
    LEARNED = "learned"
    TPM = "tpm"
    INPUT_TPM = "input_tpm"
    OUTPUT_TPM = "output_tpm"


class Hold(Struct, frozen=True):
    """Why the next request cannot go, and the seconds after which to look again (None: only when woken)."""

    why: Why
    seconds: float | None = None

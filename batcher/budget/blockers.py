"""Why the next request of a lane has to wait."""

from enum import StrEnum

from msgspec import Struct


class BlockReason(StrEnum):
    """What the next request waits for."""

    #: A cool-down, or its probe.
    PROVIDER = "provider"
    #: The cool-down of a daily limit.
    DAY = "day"
    #: The process has its maximum of requests in flight.
    PROCESS = "process"
    #: The lane has as many requests in flight as its adaptive level allows.
    LEVEL = "level"
    RPM = "rpm"
    #: The estimated rate of a lane whose limit is not announced.
    LEARNED = "learned"
    TPM = "tpm"
    INPUT_TPM = "input_tpm"
    OUTPUT_TPM = "output_tpm"


class Blocker(Struct, frozen=True):
    """Why the next request cannot be sent, and the seconds after which to check again (None: only when woken)."""

    why: BlockReason
    seconds: float | None = None

"""What a doctor says: one check, and the diagnosis."""

from typing import Final

from msgspec import Struct

from batcher.domain.lanes import RateHints
from batcher.domain.settings import JobSettings

#: The checks, in the order in which each stands on those before it.
CHECKS: Final = ("config", "credentials", "network", "models", "request", "rejection", "limits", "store")


class CheckResult(Struct, frozen=True, kw_only=True):
    """What one check found. `ok` None: skipped, and `evidence` says why."""

    ok: bool | None
    evidence: str
    #: How to mend it; set where `ok` is False.
    fix: str | None = None


class Part(Struct, frozen=True, kw_only=True):
    """A check that is part of another: dns, tcp, tls."""

    name: str
    ok: bool | None
    seconds: float
    evidence: str
    fix: str | None = None


class Check(Part, frozen=True, kw_only=True, omit_defaults=False):
    """One check as people and scripts see it."""

    parts: tuple[Part, ...] = ()


class Diagnosis(Struct, frozen=True, kw_only=True):
    """`batcher doctor --json`."""

    #: No check failed.
    ok: bool
    checks: tuple[Check, ...]
    checked_at: str
    base_url: str | None
    model: str | None
    #: Those that the endpoint lists.
    models: tuple[str, ...]


class Findings(Struct, frozen=True, kw_only=True):
    """Beside the diagnosis, what the note of a working configuration is made of."""

    #: None: the configuration is wrong.
    settings: JobSettings | None
    hints: RateHints
    #: The proxy's host and port; None: none is in force.
    proxy: str | None


def skipped(why: str) -> CheckResult:
    """Not tried."""
    return CheckResult(ok=None, evidence=why)


def good(evidence: str) -> CheckResult:
    """It works."""
    return CheckResult(ok=True, evidence=evidence)


def bad(evidence: str, fix: str) -> CheckResult:
    """It does not, and this would mend it."""
    return CheckResult(ok=False, evidence=evidence, fix=fix)

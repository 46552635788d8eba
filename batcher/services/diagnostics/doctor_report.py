"""The results of a diagnosis: one check, and the whole."""

from typing import Final

from msgspec import Struct

from batcher.domain.lanes import RateHints
from batcher.domain.messages import Words
from batcher.domain.settings import JobSettings

#: The checks; each depends on those before it.
CHECKS: Final = ("config", "credentials", "network", "models", "request", "rejection", "limits", "store")


class CheckResult(Struct, frozen=True, kw_only=True):
    """The result of one check. If `ok` is None, it was skipped and `evidence` says why."""

    ok: bool | None
    evidence: Words
    #: How to correct it, or what to beware of; set if `ok` is False, and for a warning.
    fix: Words | None = None


class Part(Struct, frozen=True, kw_only=True):
    """A step of a check: dns, tcp, tls."""

    name: str
    ok: bool | None
    seconds: float
    evidence: Words
    fix: Words | None = None


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
    #: The models that the endpoint lists.
    models: tuple[str, ...]


class Findings(Struct, frozen=True, kw_only=True):
    """What the note of a working configuration contains besides the diagnosis."""

    #: None if the configuration is wrong.
    settings: JobSettings | None
    hints: RateHints
    #: The proxy's host and port; None if no proxy is used.
    proxy: str | None


def skipped(why: Words) -> CheckResult:
    """The check was not tried."""
    return CheckResult(ok=None, evidence=why)


def good(evidence: Words) -> CheckResult:
    """The check passed."""
    return CheckResult(ok=True, evidence=evidence)


def warning(evidence: str, fix: Words) -> CheckResult:
    """The check passed, but `fix` says what to beware of."""
    return CheckResult(ok=True, evidence=f"warning: {evidence}", fix=fix)


def bad(evidence: Words, fix: Words) -> CheckResult:
    """The check failed; `fix` would correct it."""
    return CheckResult(ok=False, evidence=evidence, fix=fix)

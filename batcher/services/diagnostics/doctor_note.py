"""The dated note of a working configuration, to compare with on the day when it stops working.

It contains no secret.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from batcher.domain.errors import UsageError
from batcher.domain.messages import Cause, Words
from batcher.domain.settings import JobSettings
from batcher.files.writing import check_target, write_atomically
from batcher.policy.privacy.sanitize import one_line
from batcher.services.diagnostics.doctor_report import Diagnosis, Findings, Part
from batcher.services.diagnostics.versions import versions

_TITLE: Final = "# batcher doctor"
_WORDS: Final = {True: "ok", False: "FAILED", None: "skipped"}
_WIDTH: Final = 400


def check_note(place: Path) -> None:
    """Raise UsageError if no note can be written, or if the file there is not a note."""
    check_target(place)
    if not place.exists():
        return
    with place.open("rb") as file:
        is_note = file.read(len(_TITLE)) == _TITLE.encode()
    if not is_note:
        raise UsageError(Cause.NOT_A_NOTE(path=str(place)), hint=Cause.OTHER_NOTE())


def save_note(place: Path, diagnosis: Diagnosis, findings: Findings, words: Callable[[Words], str]) -> None:
    """Write the note, 0600, replacing an older one. Raises UsageError, BatcherError."""
    check_note(place)
    with write_atomically(place) as file:
        file.write(note(diagnosis, findings, words).encode())


def note(diagnosis: Diagnosis, findings: Findings, words: Callable[[Words], str]) -> str:
    """Return the note, in Markdown; `words` words messages."""
    failed = [check.name for check in diagnosis.checks if check.ok is False]
    result = f"FAILED: {', '.join(failed)}" if failed else "every check passed"
    lines = [f"{_TITLE}, {diagnosis.checked_at}: {result}", "", "## Configuration", ""]
    lines += [f"- {name}: {one_line(value, _WIDTH)}" for name, value in _facts(diagnosis, findings)]
    lines += ["", "## Checks", "", "| check | result | ms | evidence |", "| --- | --- | --- | --- |"]
    for check in diagnosis.checks:
        lines += [
            _row(check, check.name, words),
            *(_row(part, f"{check.name}: {part.name}", words) for part in check.parts),
        ]
    lines += ["", "## Versions", ""]
    lines += [f"- {name} {version}" for name, version in versions().items()]
    return "\n".join([*lines, ""])


def _facts(diagnosis: Diagnosis, findings: Findings) -> list[tuple[str, str]]:
    facts = [
        ("base URL", diagnosis.base_url or "unknown"),
        ("model asked", diagnosis.model or "none"),
        (f"models seen ({len(diagnosis.models)})", ", ".join(diagnosis.models) or "none"),
        ("proxy", findings.proxy or "none"),
    ]
    announced = {
        name: value for name, value in msgspec.structs.asdict(findings.hints).items() if value is not None
    }
    facts.append(
        ("announced", ", ".join(f"{name} {value:,.15g}" for name, value in announced.items()) or "nothing")
    )
    return facts if findings.settings is None else [*facts, *_settings(findings.settings)]


def _settings(settings: JobSettings) -> list[tuple[str, str]]:
    limits = {name: value for name, value in msgspec.structs.asdict(settings.limits).items() if value is not None}
    return [
        ("key variable", settings.api_key_env),
        ("headers", ", ".join(f"{name} from {variable}" for name, variable in settings.headers.items()) or "none"),
        ("limits given", ", ".join(f"{name} {value:,.15g}" for name, value in limits.items()) or "none"),
        ("certificates", settings.ca_file or "the system's"),
        ("timeout", f"{settings.timeout:g} s"),
        ("plain http with a key", "allowed" if settings.allow_http else "only to loopback and private hosts"),
        ("simulated", "yes" if settings.simulate else "no"),
    ]


def _row(part: Part, name: str, words: Callable[[Words], str]) -> str:
    evidence = words(part.evidence)
    text = evidence if part.fix is None else f"{evidence} → {words(part.fix)}"
    cell = one_line(text, _WIDTH).replace("|", "\\|")
    return f"| {name} | {_WORDS[part.ok]} | {part.seconds * 1000:.0f} | {cell} |"

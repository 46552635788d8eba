"""Checks the store: whether it is sound, and what this machine has left for it."""

import shutil
from pathlib import Path
from typing import Final

from batcher.domain.errors import BatcherError
from batcher.domain.messages import Cause, Words
from batcher.files.writing import check_target
from batcher.services.diagnostics.doctor_report import CheckResult, bad, good
from batcher.services.runs.descriptors import raise_limit
from batcher.services.store.maintain import check
from batcher.services.store.open_store import RECOVERY, engine_version, exists, log_size

_MIB: Final = 1 << 20
#: Bytes. With less, a run of some size will not finish.
_LEAST_FREE: Final = 100 * _MIB
#: Open files. With fewer, little can be in flight.
_LEAST_DESCRIPTORS: Final = 128


def examine_store(path: str) -> CheckResult:
    """Check whether the store is sound and has room. Reads all of it; creates none if there is none."""
    place = Path(path)
    facts = [f"SQLite {engine_version()}"]
    try:
        free = shutil.disk_usage(place.parent).free
        problem = None if exists(path) else _place_problem(place)
    except OSError as error:
        return bad(f"{place.parent} cannot be read: {error.strerror}", Cause.OTHER_STORE())
    if problem is not None:
        return bad(problem, Cause.OTHER_STORE())
    descriptors = raise_limit()
    facts += [f"log {_size(log_size(path))}", f"{_size(free)} free", f"{descriptors:,} open files"]
    state, fix = _soundness(path)
    evidence = Cause.STORE_FACTS(state=state, facts="; ".join(facts))
    if fix is not None:
        return bad(evidence, fix)
    if free < _LEAST_FREE:
        return bad(evidence, Cause.STORE_SPACE(path=path))
    if descriptors < _LEAST_DESCRIPTORS:
        return bad(evidence, "raise the limit of open files: `ulimit -n 4096`")
    return good(evidence)


def _place_problem(place: Path) -> Words | None:
    """Return why no store could be created there."""
    try:
        check_target(place)
    except BatcherError as error:
        return error.message
    return None


def _soundness(path: str) -> tuple[Words, Words | None]:
    """Return a description of the store, and how to correct it if it is damaged."""
    if not exists(path):
        return Cause.STORE_TO_COME(path=path), None
    try:
        found = check(path)
    except BatcherError as error:
        return error.message, error.hint or Cause.SEE_DB_CHECK()
    if found.miscounted:
        numbers = ", ".join(map(str, found.miscounted))
        return f"{path} shows wrong counts of job {numbers}; its rows are sound", Cause.COUNT_AGAIN()
    if not found.ok:
        fix = f"put a backup in its place; without one, `{RECOVERY}` saves what can be read"
        return f"{path} is damaged: {found.problems[0]}", fix
    older = "" if found.revision == found.current else f" (older than {found.current}: the next run upgrades it)"
    return f"{path} is sound, schema {found.revision or 'none'}{older}, {_size(found.bytes)}", None


def _size(count: int) -> str:
    if count < _MIB:
        return f"{count / 1024:,.0f} KiB"
    return f"{count / _MIB:,.0f} MiB" if count < 10_000 * _MIB else f"{count / _MIB / 1024:,.0f} GiB"

"""Edit bodies of dead letters: every edited body is validated before the first one is changed."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.messages import Cause
from batcher.domain.requests import BadLine, Line, ParsedLine
from batcher.domain.states import CacheMode
from batcher.policy.input.body_edit import CannotEdit, Edit, edited, has, keys_beside, shown
from batcher.policy.input.deduplication import fingerprint, shares_answer
from batcher.policy.input.line_parser import LineRules, parse_body
from batcher.ports import Store
from batcher.store.dead_letters import edits as stored_edits
from batcher.store.dead_letters import redrive
from batcher.store.dead_letters.edits import Edited, Stored
from batcher.store.jobs import jobs

#: Rows per transaction, and the bytes of their bodies, which are in memory together.
AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 16 << 20
_CHECKED: Final = LineRules(openai=False)
_UNCHECKED: Final = LineRules(check_bodies=False)
#: Requests that an error names.
_NAMED: Final = 10


class CheckedEdits(Struct, frozen=True, kw_only=True):
    """Validated edits: the revision of each body that was read, and the request with the smallest edited body."""

    revisions: Mapping[RequestId, int]
    smallest: RequestId
    #: What the edits add that no row has, as questions for a person: a wrong name would be sent with every row.
    additions: Sequence[str] = ()


def check(database: Store, ids: Sequence[RequestId], edits: Sequence[Edit]) -> CheckedEdits:
    """Edit every body in memory and validate it. Raises UsageError, which names the requests that are invalid."""
    refused: dict[RequestId, str] = {}
    revisions: dict[RequestId, int] = {}
    smallest: tuple[int, RequestId] | None = None
    new = _NewKeys(edits)
    changed = False
    for chunk in chunks(database, ids):
        with database.read() as connection:
            found = stored_edits.stored(connection, chunk)
        for row in found:
            parsed = _edited(row, edits)
            if isinstance(parsed, str):
                refused[row.request] = parsed
                continue
            new.look_at(row.body)
            changed = changed or parsed.body != row.body
            revisions[row.request] = row.revision
            smallest = min(smallest or (len(parsed.body), row.request), (len(parsed.body), row.request))
    if refused:
        raise _refusal(refused)
    if smallest is None or not changed:
        raise UsageError(Cause.NOTHING_EDITED(), hint=Cause.SEE_BODY_UNCHANGED())
    return CheckedEdits(revisions=revisions, smallest=smallest[1], additions=new.questions(len(ids)))


class _NewKeys:
    """The paths that are set and that no row has: a misspelt one would be sent with every row."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._paths = [each.path for each in edits if each.value is not None]
        self._beside: dict[tuple[str, ...], list[str]] = {}

    def look_at(self, body: bytes) -> None:
        """Note which of the paths the row has, and for the others what stands beside them."""
        self._paths = [path for path in self._paths if not has(body, path)]
        for path in self._paths:
            if path not in self._beside:
                self._beside[path] = keys_beside(body, path)

    def questions(self, rows: int) -> list[str]:
        """Return a question for each path that no row has."""
        count = "the row" if rows == 1 else f"all {rows:,} rows"
        asked = []
        for path in self._paths:
            near = get_close_matches(path[-1], self._beside.get(path, ()), n=1)
            meant = f"; did you mean `{shown((*path[:-1], near[0]))}`" if near else ""
            asked.append(
                f"No row has `{shown(path)}`{meant}? Add it to {count}?"
                if near
                else f"No row has `{shown(path)}`. Add it to {count}?"
            )
        return asked


def chunks(database: Store, ids: Sequence[RequestId]) -> Iterator[Sequence[RequestId]]:
    """Yield the requests in chunks for one transaction each, bounded by rows and by the bytes of their bodies."""
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        with database.read() as connection:
            sizes = stored_edits.sizes(connection, some)
        chunk: list[RequestId] = []
        room = BYTES_AT_ONCE
        for request in some:
            room -= sizes.get(request, 0)
            if chunk and room < 0:
                yield chunk
                chunk, room = [], BYTES_AT_ONCE - sizes.get(request, 0)
            chunk.append(request)
        yield chunk


class PreparedEdit(Struct, frozen=True, kw_only=True):
    """An edited row to be stored, if it still has this revision. `edited` is None if its body stays the same."""

    request: RequestId
    revision: int
    edited: Edited | None


def prepare(
    database: Store, ids: Sequence[RequestId], edits: Sequence[Edit], checked: CheckedEdits
) -> list[PreparedEdit]:
    """Edit the bodies again: before the transaction that stores them, so that no one waits for it."""
    modes: dict[JobId, CacheMode] = {}
    prepared = []
    with database.read() as connection:
        found = stored_edits.stored(connection, ids)
        for job_id in {row.job for row in found}:
            modes[job_id] = jobs.get(connection, job_id).settings.cache
    for row in found:
        parsed = _edited(row, edits)
        if isinstance(parsed, str) or checked.revisions.get(row.request) != row.revision:
            continue
        line = None if parsed.body == row.body else _line(parsed, modes[row.job])
        new = None if line is None else Edited(request=row.request, job=row.job, line=line)
        prepared.append(PreparedEdit(request=row.request, revision=row.revision, edited=new))
    return prepared


def put_back(
    connection: Any,  # noqa: ANN401 - a connection of the store
    prepared: Sequence[PreparedEdit],
    *,
    noted: Sequence[JobId],
) -> tuple[int, list[JobId]]:
    """Store the edited bodies and put the requests back to pending; returns how many, and their jobs.

    Requests that another process has edited or put back since the check are skipped. `noted`: see `redrive`.
    """
    current = stored_edits.revisions(connection, [each.request for each in prepared])
    taken = [each for each in prepared if current.get(each.request) == each.revision]
    stored_edits.replace(connection, [each.edited for each in taken if each.edited is not None])
    return redrive.put_back(connection, [each.request for each in taken], noted=noted)


def _edited(row: Stored, edits: Sequence[Edit]) -> ParsedLine | str:
    """Return the edited row as it would be sent, or the reason why it is invalid."""
    try:
        body = edited(row.body, edits)
    except CannotEdit as refused:
        return refused.reason
    parsed = _parsed(row, body, _CHECKED)
    if isinstance(parsed, BadLine) and isinstance(_parsed(row, row.body, _CHECKED), BadLine):
        # The job was submitted with --no-body-checks.
        parsed = _parsed(row, body, _UNCHECKED)
    return parsed.reason if isinstance(parsed, BadLine) else parsed


def _parsed(row: Stored, body: bytes, rules: LineRules) -> ParsedLine | BadLine:
    return parse_body(body, line=row.line, custom_id=row.custom_id, path=row.path, rules=rules)


def _line(parsed: ParsedLine, mode: CacheMode) -> Line:
    shares = shares_answer(parsed, mode)
    return Line(parsed=parsed, fingerprint=fingerprint(parsed.path, parsed.body) if shares else None)


def _refusal(refused: Mapping[RequestId, str]) -> UsageError:
    named = "; ".join(f"request {request}: {reason}" for request, reason in list(refused.items())[:_NAMED])
    more = f"; and {len(refused) - _NAMED:,} more" if len(refused) > _NAMED else ""
    count = "1 request" if len(refused) == 1 else f"{len(refused):,} requests"
    return UsageError(
        f"{count} cannot be edited that way; nothing was changed: {named}{more}",
        hint=Cause.SEE_BODY(),
    )

"""A fuzz of job files, by mutated lines and raw bytes: every line is taken or named, no file is stored by half.

FUZZ=20000 runs as many examples.
"""

import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.domain.errors import InputError
from batcher.domain.requests import BadLine, ParsedLine
from batcher.domain.settings import JobSettings
from batcher.files.reading import read_lines
from batcher.files.source import Source, open_source
from batcher.policy.input.line_parser import parse_line
from batcher.services.jobs.check import check_file
from batcher.services.jobs.options import SubmitOptions
from batcher.services.jobs.submit import Submitted, submit_file
from batcher.store.sqlite.database import Database
from tests.support.hostile import REFUSED, TAKEN
from tests.support.jobs import store_in
from tests.support.messages import words
from tests.support.stores import BASE_URL, ManualClock

_EXAMPLES = int(os.environ.get("FUZZ", "60"))
fuzz = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
_SETTINGS = JobSettings(base_url=BASE_URL, api_key_env="OPENAI_API_KEY")

#: Short ones: what is long is the table test's.
_LINES = [raw for raw in [*TAKEN, *(raw for _, raw in REFUSED)] if len(raw) < 3_000]

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "\x1b[2J", "/v1/../x", "POST", "m", 10**400, -0.0, 1e308, "x" * 600]
    ),
)
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "model", "body", "", "\ud800"]), inner, max_size=3),
    ),
    max_leaves=6,
)
_KEYS = [
    "custom_id",
    "method",
    "url",
    "body",
    "model",
    "messages",
    "role",
    "content",
    "max_tokens",
    "input",
    "prompt",
    "stream",
    "background",
    "tool_calls",
]


def _places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in members:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


def _holder(document: Any, path: tuple[Any, ...]) -> Any:
    """What the last key of the path stands in."""
    for key in path[:-1]:
        document = document[key]
    return document


@st.composite
def restructured(draw: st.DrawFn) -> bytes:
    """A good line of which one to three members were replaced, removed or added."""
    document = json.loads(draw(st.sampled_from([raw for raw in TAKEN if len(raw) < 3_000])))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document)) or [("model",)]
        path = draw(st.sampled_from(places))
        value = draw(_values)
        match draw(st.integers(0, 2)):
            case 0:
                _holder(document, path)[path[-1]] = value
            case 1:
                _holder(document, path).pop(path[-1])
            case _:
                document[draw(st.sampled_from(_KEYS))] = value
        if not document:
            break
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def scratched(draw: st.DrawFn) -> bytes:
    """A line of the corpus in which bytes were replaced, put in, taken out or repeated."""
    raw = draw(st.sampled_from(_LINES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + draw(st.sampled_from([0, 1, 3, 40])))))
        piece = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"\xef\xbb\xbf", b"\r", b"\x00", rb"\ud800", b"{", b"[", b'"', b",", b"1e999", b"NaN"]
                ),
                st.just(raw[start:end] * 2),
            )
        )
        raw = raw[:start] + piece + raw[end:]
    return raw


_lines = st.one_of(st.sampled_from(_LINES), restructured(), scratched(), st.binary(max_size=30), st.just(b""))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with store_in(tmp_path_factory.mktemp("fuzz")) as opened:
        yield opened


@fuzz
@given(st.one_of(restructured(), scratched(), st.binary(max_size=60)), st.sampled_from([None, "/v1/embeddings"]))
def test_a_line_becomes_a_request_in_its_own_bytes_or_a_reason(raw: bytes, url: str | None) -> None:
    parsed = parse_line(raw, line=7, default_path=url)
    if isinstance(parsed, BadLine):
        assert parsed.reason
        assert len(parsed.reason) < 250
        assert "\n" not in parsed.reason
        return
    document = json.loads(raw)
    sent = json.loads(parsed.body)
    if "body" in document:
        assert parsed.body in raw
        assert same(sent, document["body"])
    else:
        assert same(sent, {key: value for key, value in document.items() if key != "custom_id"})
    assert 0 < len(parsed.custom_id) <= 512
    parsed.custom_id.encode()
    assert parsed.path.startswith("/v1/")


def same(one: object, other: object) -> bool:
    """Equal, with the kinds of numbers told apart."""
    return repr(one) == repr(other)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, str]:
    """Content and packing; a packed file may be cut or scratched."""
    content = draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"])).join(draw(st.lists(_lines, max_size=12)))
    content = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content + draw(st.sampled_from([b"", b"\n"]))
    packing = draw(st.sampled_from(["", "", ".gz", ".zst"]))
    if packing:
        content = gzip.compress(content, 1) if packing == ".gz" else zstandard.compress(content)
        harm = draw(st.sampled_from(["none", "none", "cut", "scratch", "behind"]))
        at = draw(st.integers(0, len(content) - 1))
        if harm == "cut":
            content = content[:at]
        elif harm == "scratch":
            content = content[:at] + draw(st.binary(min_size=1, max_size=2)) + content[at + 1 :]
        elif harm == "behind":
            content += draw(st.binary(max_size=20))
    return content, packing


def source(content: bytes, packing: str) -> Source:
    return Source(io.BytesIO(content), name=f"f.jsonl{packing}", packing=packing)


def one_by_one(content: bytes, packing: str) -> tuple[dict[int, ParsedLine], set[int]]:
    """What `parse_line` says of each line, and which repeat an id."""
    good: dict[int, ParsedLine] = {}
    bad, ids = set(), set()
    for raw in read_lines(source(content, packing), name="f"):
        assert raw.data is not None
        parsed = parse_line(raw.data, line=raw.number, default_path=None)
        if isinstance(parsed, BadLine) or parsed.custom_id in ids:
            bad.add(raw.number)
        else:
            ids.add(parsed.custom_id)
            good[raw.number] = parsed
    return good, bad


@fuzz
@given(files(), st.booleans())
def test_a_file_is_stored_whole_or_not_at_all_and_check_says_which(
    database: Database, file: tuple[bytes, str], skip_invalid: bool
) -> None:
    options = SubmitOptions(skip_invalid=skip_invalid, new=True, keep_bad=None)

    def submit() -> Submitted:
        return submit_file(database, source(*file), _SETTINGS, options, clock=ManualClock())

    checked = tried(lambda: check_file(source(*file), _SETTINGS, options)[0])
    submitted = tried(submit)
    if isinstance(checked, InputError):
        assert isinstance(submitted, InputError)
        assert submitted.message == checked.message
        assert stored(database) == (0, 0, 0, 0)
        return
    good, bad = one_by_one(*file)
    assert {each.line for each in checked.errors} == bad
    assert checked.valid == len(good)
    if isinstance(submitted, InputError):
        assert not (good and (skip_invalid or not bad))
        assert {line.line for line in submitted.bad} == bad
        assert stored(database) == (0, 0, 0, 0)
        return
    assert good
    assert skip_invalid or not bad
    assert rows_of(database, submitted.job) == [(each.custom_id, each.body) for each in good.values()]
    with database.write() as connection:
        for table in ("rejected", "bodies", "requests", "routes", "jobs"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - names of tables


T = TypeVar("T")


def tried(act: Callable[[], T]) -> T | InputError:
    """What comes of it; the one error that it may raise."""
    try:
        return act()
    except InputError as error:
        return error


def stored(database: Database) -> tuple[int, ...]:
    """How much of jobs there is."""
    with database.read() as connection:
        return tuple(
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608 - the same
            for table in ("jobs", "requests", "bodies", "rejected")
        )


def rows_of(database: Database, job: Any) -> list[tuple[str, bytes]]:
    with database.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT custom_id, body FROM requests JOIN bodies ON request_id = requests.id"
            " WHERE job_id = ? ORDER BY requests.id",
            (job.id,),
        )
        return [(row[0], bytes(row[1])) for row in found]


@fuzz
@given(st.binary(max_size=300), st.sampled_from(["j.jsonl", "j.jsonl.gz", "j.jsonl.zst"]))
def test_any_bytes_under_any_name_are_lines_or_an_error_in_words(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    def read() -> list[int]:
        with open_source(str(path)) as opened:
            return [line.number for line in read_lines(opened, name=name)]

    numbers = tried(read)
    if isinstance(numbers, InputError):
        assert name in words(numbers.message)
    else:
        assert numbers == sorted(set(numbers))

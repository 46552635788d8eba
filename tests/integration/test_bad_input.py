"""A job file with bad lines is refused whole: every line named, nothing stored, nothing sent."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import Called, batcher, chat, job_file, line
from tests.support.programs import jobs_now, provider, run_on

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "j.jsonl", "--concurrency", "many"], "'--concurrency': 'many' is not a valid integer"),
        (
            ["run", "j.jsonl", "--timeout", "long"],
            "'--timeout': 'long' is neither a number of seconds nor a time such as 90s, 15m or 6h",
        ),
        (["simulate", "--port", "99999"], "'--port': 99999 is not in the range 0<=x<=65535"),
        (["dlq", "list", "--limit", "0"], "'--limit': 0 is not in the range x>=1"),
        (["dlq", "retry", "x"], "'[REQUEST]...': 'x' is not a valid integer range"),
        (["bundle", "--request", "1.5", "-o", "b.zip"], "'--request': '1.5' is not a valid integer range"),
    ],
)
def test_a_number_that_is_none_is_refused_by_name(args: list[str], says: str) -> None:
    called = batcher(*args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err


def test_a_refused_file_uses_up_no_number_of_a_job() -> None:
    for _ in range(2):
        assert batcher("submit", job_file(Path("bad.jsonl"), line("a"), "{"), "--simulate").code == 2
    assert batcher("submit", job_file(Path("j.jsonl"), line("a")), "--simulate").out.splitlines()[0] == "1"
    assert batcher("submit", job_file(Path("bad.jsonl"), line("a"), "{"), "--simulate").code == 2
    assert batcher("delete", "1", "--yes").code == 0
    assert batcher("submit", job_file(Path("k.jsonl"), line("a")), "--simulate").out.splitlines()[0] == "2"


@pytest.mark.parametrize("option", [(), ("--skip-invalid",)])
def test_where_no_line_is_good_nobody_is_told_to_run_the_good_ones(option: tuple[str, ...]) -> None:
    called = batcher("run", job_file(Path("bad.jsonl"), "{", "["), "--simulate", *option)
    assert called.code == 2
    assert "--skip-invalid" not in called.err
    assert called.err.count("fix the lines") == 1


def changed(**more: object) -> bytes:
    """A good line with other keys in its envelope; None takes a key away."""
    row = {**line("x"), **more}
    return json.dumps({key: value for key, value in row.items() if value is not None}).encode()


def with_body(**more: object) -> bytes:
    """A good line but for its body; None takes a key away."""
    body = {key: value for key, value in {**chat(), **more}.items() if value is not None}
    return json.dumps(line("x", body)).encode()


def embedding(**body: object) -> bytes:
    return json.dumps(line("x", {"model": "e", **body}, url="/v1/embeddings")).encode()


#: A word of the reason → the line.
BROKEN: list[tuple[str, bytes]] = [
    ("UTF-8", b'{"custom_id": "\xff\xfe"}'),
    ("JSON", b'{"custom_id": "x", '),
    ("JSON", b"hello"),
    ("object", b"[1, 2]"),
    ("object", b'"text"'),
    ("NaN", changed(body=chat()).replace(b'"model"', b'"temperature": NaN, "model"')),
    ("Infinity", changed(body=chat()).replace(b'"model"', b'"temperature": -Infinity, "model"')),
    ("number", changed(body=chat()).replace(b'"model"', b'"temperature": 1e999, "model"')),
    ("surrogate", changed(body=chat("TEXT")).replace(b"TEXT", b"\\ud83d")),
    ("deep", changed(body=chat()).replace(b'"model"', b'"x": ' + b"[" * 120 + b"]" * 120 + b', "model"')),
    ("custom_id", changed(custom_id=None)),
    ("custom_id", changed(custom_id=7)),
    ("custom_id", changed(custom_id="")),
    ("custom_id", changed(custom_id="x" * 513)),
    ("method", changed(method="GET")),
    ("method", changed(method=None)),
    ("url", changed(url=None)),
    ("url", changed(url="https://elsewhere.example/v1/chat/completions")),
    ("url", changed(url="/v1/../admin")),
    ("url", changed(url="/v1/chat/completions?key=1")),
    ("url", changed(url="/v1/%2e%2e/admin")),
    ("body", changed(body=[])),
    ("body", changed(body="text")),
    ("body", changed(body=None)),
    ("stream", with_body(stream=True)),
    ("background", with_body(background=True)),
    ("model", with_body(model=None)),
    ("model", with_body(model=3)),
    ("messages", with_body(messages=None)),
    ("messages", with_body(messages=[])),
    ("messages", with_body(messages="hi")),
    ("role", with_body(messages=[{"content": "hi"}])),
    ("content", with_body(messages=[{"role": "user"}])),
    ("max_tokens", with_body(max_tokens=0)),
    ("max_tokens", with_body(max_tokens="many")),
    ("max_completion_tokens", with_body(max_completion_tokens=1.5)),
    ("input", embedding()),
    ("endpoint", b'{"model": "m", "prompt": "x"}'),
]


def broken_file() -> Path:
    """Good lines and broken ones in turn: line 2 n holds the n-th of BROKEN."""
    path = Path("j.jsonl")
    lines = []
    for number, (_, raw) in enumerate(BROKEN, 1):
        unlike = b'"custom_id": "x%d"' % number
        lines += [json.dumps(line(f"good-{number}")).encode(), raw.replace(b'"custom_id": "x"', unlike)]
    path.write_bytes(b"\n".join(lines))
    return path


def assert_nothing_is_stored() -> None:
    assert jobs_now() == []
    if not Path("batcher.db").exists():
        return
    with closing(sqlite3.connect("batcher.db")) as store:
        for table in ("jobs", "requests", "bodies", "routes", "rejected"):
            assert store.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table  # noqa: S608 - names


def refused(path: object, *args: object) -> Called:
    with provider() as server:
        called = run_on(server, path, *args)
        assert server.requests == 0
    assert called.code == 2
    return called


def test_every_kind_of_broken_line_is_named_and_nothing_is_stored() -> None:
    assert len(BROKEN) > 30
    called = refused(broken_file())
    assert called.out == ""
    said = called.err.splitlines()
    error = said.index(f"error: j.jsonl: {len(BROKEN)} lines are invalid; nothing was stored")
    assert error == len(BROKEN)
    for number, (word, _) in enumerate(BROKEN, 1):
        start = f"j.jsonl:{2 * number}: "
        assert said[number - 1].startswith(start), said[number - 1]
        assert word.lower() in said[number - 1].removeprefix(start).lower()
    assert all(line.startswith("  → ") for line in said[error + 1 :])
    assert "--skip-invalid" in said[-1]
    assert_nothing_is_stored()


def test_json_lists_every_bad_line() -> None:
    job_file(Path("j.jsonl"), *(f"{' ' * n}x" for n in range(250)), line("good"))
    plain = refused("j.jsonl")
    assert plain.err.count("j.jsonl:") == 100 + 1
    assert "150 more" in plain.err
    told = refused("j.jsonl", "--json").json["error"]
    assert told["count"] == 250
    assert [each["line"] for each in told["lines"]] == list(range(1, 251))
    assert_nothing_is_stored()


def test_the_last_of_a_hundred_thousand_lines_being_bad_leaves_nothing() -> None:
    with Path("j.jsonl").open("w") as file:
        file.writelines(f"{json.dumps(line(str(number)))}\n" for number in range(99_999))
        file.write("{broken\n")
    called = refused("j.jsonl")
    assert "j.jsonl:100000: " in called.err
    assert_nothing_is_stored()


def test_a_custom_id_repeated_far_apart_names_both_lines() -> None:
    job_file(Path("j.jsonl"), *(line(str(number)) for number in range(10_000)), "", line("17"))
    called = refused("j.jsonl")
    assert 'j.jsonl:10002: custom_id "17" was already used in line 18' in called.err
    assert_nothing_is_stored()


def test_the_id_of_a_bare_body_may_not_be_taken_by_another_line() -> None:
    job_file(Path("j.jsonl"), line("line-2"), chat("hi"))
    assert 'custom_id "line-2" was already used in line 1' in refused("j.jsonl").err


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("folder", None, "folder is a folder"),
        ("missing.jsonl", None, "missing.jsonl does not exist"),
        ("nowhere/missing.jsonl", None, "nowhere/missing.jsonl does not exist"),
        ("empty.jsonl", b"", "empty.jsonl holds no request"),
        ("blank.jsonl", b"\n \r\n\t\n", "blank.jsonl holds no request"),
        ("torn.jsonl.gz", b"\x1f\x8b\x08\x00", "torn.jsonl.gz ends in the middle"),
        ("no.jsonl.zst", b"hello", "no.jsonl.zst is not a whole zstd file"),
    ],
)
def test_what_is_no_job_file_is_refused_by_name(file: str, content: bytes | None, word: str) -> None:
    Path("folder").mkdir()
    if content is not None:
        Path(file).write_bytes(content)
    called = refused(file)
    assert word in called.err
    assert called.err.startswith("error: ")
    assert_nothing_is_stored()


def test_submit_refuses_as_run_does() -> None:
    path = broken_file()
    submitted = batcher("submit", path, "--base-url", "http://127.0.0.1:1/v1")
    assert (submitted.code, submitted.err) == (2, refused(path).err)

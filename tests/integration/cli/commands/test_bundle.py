"""`batcher bundle`: what a support desk gets, and what it does not."""

import json
import stat
import zipfile
from datetime import UTC
from pathlib import Path

import pytest

from batcher.services.diagnostics.bundle import BundleOptions, write_bundle
from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import Says, endpoint, error
from tests.support.jobs import rows, run_job, store_in
from tests.support.messages import words

KEY = "sk-proj-canary0Bundle1Key2xyz9"
SECRET = "Jane's diagnosis is lupus"
PLAIN = [
    "README.md",
    "attempts.jsonl",
    "dead_letters.json",
    "job.json",
    "shapes.json",
    "time.json",
    "versions.json",
]


def echoing(came):
    """An endpoint that repeats what it was sent: the prompt, and the key."""
    if "ask" in came.json["messages"][0]["content"]:
        choices = [{"message": {"role": "assistant", "content": "an answer"}, "finish_reason": "stop"}]
        return Says(200, {"choices": choices}, {"x-request-id": "req_good"})
    said = f"cannot take {came.json['messages'][0]['content']} from {came.headers['authorization']}"
    return Says(400, error(said, code="odd_request"), {"x-request-id": "req_bad"})


@pytest.fixture
def failed(folder, monkeypatch):
    """A job of two rows, one of them a dead letter that quotes its prompt."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    job_file(folder / "job.jsonl", line("good", chat("ask")), line("patient-jane", chat(SECRET, max_tokens=7)))
    with endpoint(echoing) as site:
        assert batcher("run", "job.jsonl", "--base-url", f"{site.url}?code={KEY}", "-q").code == 3
    return folder


def members(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_what_a_support_desk_asks_for(failed):
    called = batcher("bundle", "-o", "out.zip", "--json")
    assert (called.code, called.err) == (0, "")
    assert called.json["members"] == PLAIN
    assert called.json["left_out"] == []
    found = members(failed / "out.zip")
    assert list(found) == PLAIN
    attempts = [json.loads(each) for each in found["attempts.jsonl"].splitlines()]
    assert [(each["kind"], each["provider_request_id"]) for each in attempts] == [
        ("permanent", "req_bad"),
        ("success", "req_good"),
    ]
    assert attempts[0]["message"] == "cannot take [prompt] from Bearer [key]"
    assert attempts[0]["client_request_id"].endswith("-2-1")
    causes = json.loads(found["dead_letters.json"])
    assert causes == [{"kind": "permanent", "code": "odd_request", "status": 400, "count": 1, "example": 2}]
    about = json.loads(found["job.json"])
    assert about["settings"]["api_key_env"] == "OPENAI_API_KEY"
    assert about["settings"]["base_url"].endswith("/v1?code=…")
    assert about["status"]["counts"]["dead_lettered"] == 1
    (shape,) = json.loads(found["shapes.json"])
    assert (shape["request"], shape["line"], shape["body"]["max_tokens"]) == (2, 2, 7)
    assert set(json.loads(found["versions.json"])) >= {"batcher", "python", "sqlite", "platform", "aiohttp"}
    assert set(json.loads(found["time.json"])) == {"utc", "local", "zone"}


def test_no_key_and_no_word_of_a_prompt_is_in_it(failed):
    assert batcher("bundle", "-o", "out.zip").code == 0
    for name, content in {**members(failed / "out.zip"), "the zip": Path("out.zip").read_bytes()}.items():
        for secret in (KEY, KEY[8:], SECRET, "lupus", "Jane", "patient-jane", "an answer"):
            assert secret.encode() not in content, (name, secret)


def test_content_is_in_it_where_it_is_asked_for_and_still_no_key(failed):
    called = batcher("bundle", "-o", "out.zip", "--with-content")
    assert "share it with care" in called.out
    found = members(failed / "out.zip")
    assert json.loads(found["content/request-2.body.json"])["messages"][0]["content"] == SECRET
    assert SECRET.encode() in found["content/request-2.reply-1.txt"]
    assert SECRET.encode() in found["attempts.jsonl"]
    assert not any("request-1." in name for name in found)
    assert all(KEY[8:].encode() not in content for content in found.values())


def test_the_readme_reproduces_it_with_one_line_that_names_the_keys_variable(failed):
    batcher("bundle", "-o", "out.zip", "--with-content")
    readme = members(failed / "out.zip")["README.md"].decode()
    (curl,) = [each.strip() for each in readme.split("\n") if each.strip().startswith("curl")]
    assert '-H "Authorization: Bearer $OPENAI_API_KEY"' in curl
    assert "--data-binary @content/request-2.body.json" in curl
    assert "/v1/chat/completions" in curl
    assert "`batcher dlq show" not in readme
    batcher("bundle", "-o", "plain.zip")
    assert "`batcher dlq show 2 --json`" in members(failed / "plain.zip")["README.md"].decode()


def test_the_same_store_gives_the_same_bytes_but_for_the_time(failed):
    assert batcher("bundle", "-o", "one.zip").code == 0
    assert batcher("bundle", "-o", "two.zip").code == 0
    one, two = members("one.zip"), members("two.zip")
    assert {name for name in one if one[name] != two[name]} <= {"time.json"}
    packed = []
    with store_in(failed) as database:
        for name in ("three.zip", "four.zip"):
            done = write_bundle(
                database,
                BundleOptions(),
                Path(name),
                now=1_700_000_000_000_000,
                zone=UTC,
                environ={},
                force=False,
                words=words,
            )
            packed.append(Path(name).read_bytes())
            assert done.bytes == len(packed[-1])
    assert packed[0] == packed[1]
    assert json.loads(members("three.zip")["time.json"]) == {
        "utc": "2023-11-14T22:13:20.000Z",
        "local": "2023-11-14T22:13:20+00:00",
        "zone": "UTC",
    }


def test_it_is_for_its_owner_alone_and_replaces_nothing_unless_told(failed):
    (failed / "out.zip").write_text("mine")
    called = batcher("bundle", "-o", "out.zip")
    assert called.code == 2
    assert "--force" in called.err
    assert (failed / "out.zip").read_text() == "mine"
    assert batcher("bundle", "-o", "out.zip", "--force").code == 0
    assert stat.S_IMODE((failed / "out.zip").stat().st_mode) == 0o600
    assert list(failed.glob(".*.tmp")) == []


@pytest.mark.parametrize("target", ["batcher.db", "batcher.db-write", "job.jsonl", "nowhere/out.zip", "."])
def test_it_takes_the_place_of_nothing_dear(failed, target):
    before = {path.name: path.read_bytes() for path in failed.iterdir()}
    called = batcher("bundle", "-o", target, "--force")
    assert (called.code, called.out) == (2, "")
    assert before.items() <= {path.name: path.read_bytes() for path in failed.iterdir()}.items()


def test_one_request_is_bundled_alone(failed):
    assert batcher("bundle", "--request", 1, "-o", "one.zip", "--with-content").code == 0
    found = members(failed / "one.zip")
    assert {json.loads(each)["request"] for each in found["attempts.jsonl"].splitlines()} == {1}
    assert json.loads(found["dead_letters.json"]) == []
    assert "content/request-1.body.json" in found


def test_a_job_is_named_by_number_or_name_and_is_the_newest_by_default(folder):
    run_job(folder, rows(answered=1, dead=1), name="first")
    run_job(folder, rows(answered=1), name="second")
    for args, job in (([], 2), (["--job", "1"], 1), (["--job", "first"], 1)):
        assert batcher("bundle", *args, "-o", "out.zip", "--force", "--json").json["job"] == job


def test_a_job_without_failures_shows_the_structure_of_its_first_rows(folder):
    run_job(folder, rows(answered=30))
    batcher("bundle", "-o", "out.zip", "--with-content")
    found = members("out.zip")
    assert len(json.loads(found["shapes.json"])) == 10
    assert not any(name.startswith("content/") for name in found)


def test_what_is_too_much_is_left_out_and_said(folder, monkeypatch):
    monkeypatch.setattr("batcher.services.diagnostics.bundle.MOST_ATTEMPTS", 40)
    run_job(folder, rows(answered=20, dead=150))
    called = batcher("bundle", "-o", "out.zip")
    assert "left out: 130 older attempts (of 170)" in called.out
    assert "left out: the shapes of 50 dead letters (of 150)" in called.out
    found = members("out.zip")
    kinds = {json.loads(each)["kind"] for each in found["attempts.jsonl"].splitlines()}
    assert kinds == {"permanent"}
    assert "130 older attempts" in found["README.md"].decode()


def test_content_that_is_too_large_is_left_out_and_said(failed, monkeypatch):
    monkeypatch.setattr("batcher.services.diagnostics.bundle._MOST_CONTENT", 10)
    called = batcher("bundle", "-o", "out.zip", "--with-content")
    assert "left out: the content of 1 requests" in called.out
    assert not any(name.startswith("content/") for name in members(failed / "out.zip"))


def test_two_thousand_attempts_are_packed_into_a_small_file(folder):
    run_job(folder, rows(dead=2_500))
    assert batcher("bundle", "-o", "out.zip").code == 0
    assert Path("out.zip").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--request", "99"], "no request 99"),
        (["--job", "99"], "no job 99"),
        (["--job", "1", "--request", "1"], "both given"),
    ],
)
def test_what_is_not_there_is_exit_2(failed, args, says):
    called = batcher("bundle", *args, "-o", "out.zip")
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert not (failed / "out.zip").exists()


@pytest.mark.usefixtures("folder")
def test_without_a_store_there_is_nothing_to_bundle():
    called = batcher("bundle", "-o", "out.zip")
    assert called.code == 2
    assert "there is no store" in called.err

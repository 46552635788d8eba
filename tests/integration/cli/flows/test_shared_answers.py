"""Answers are shared by those who may read them: by endpoint and choosing headers, whatever the key."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import ANSWER, Says, endpoint
from tests.support.programs import rows_of

pytestmark = pytest.mark.usefixtures("folder")
TABLE = '[provider.headers]\nX-Portkey-Config = "PK"\nOpenAI-Project = "PROJECT"\n'


def says(came):
    who = f"{came.headers.get('x-portkey-config')}/{came.headers.get('openai-project')}"
    message = {"role": "assistant", "content": who}
    return Says(200, {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.fixture
def site():
    with endpoint(says) as server:
        yield server


@pytest.fixture
def run(site, monkeypatch):
    """Run a file with one row under a key, a route and a project; returns who answered."""

    def one(name, *, key="key-of-team-a-0123456789", route="cheap", project="a", table=TABLE, blank=0):
        Path("batcher.toml").write_text(table)
        for variable, value in (("OPENAI_API_KEY", key), ("PK", route), ("PROJECT", project)):
            monkeypatch.setenv(variable, value)
        file = job_file(Path(f"{name}.jsonl"), line("r", chat("same")), *[""] * blank)
        called = batcher("run", file, "-q", "--cache", "all", "--base-url", site.url)
        assert called.code == 0, called
        (row,) = rows_of(f"{name}.results.jsonl")
        return row["response"]["body"]["choices"][0]["message"]["content"], row["batcher"]["cached"]

    return one


def test_another_route_or_project_is_asked_itself(run):
    assert run("a") == ("cheap/a", False)
    assert run("b", blank=1, route="best") == ("best/a", False)
    assert run("c", blank=2, project="b") == ("cheap/b", False)
    assert run("d", blank=3, route="best") == ("best/a", True)


def test_a_rotated_key_pays_nothing_again(run):
    assert run("a") == ("cheap/a", False)
    assert run("b", blank=1, key="key-of-team-a-9999999999") == ("cheap/a", True)


def test_the_same_file_of_another_project_gets_answers_of_its_own(run):
    assert run("a") == ("cheap/a", False)
    assert run("a", project="b") == ("cheap/b", False)
    assert run("a") == ("cheap/a", False)
    # Nothing was sent for the last one: the job was known.
    assert len(rows_of("a.results.jsonl")) == 1


def test_without_such_headers_the_store_is_as_it_was(run, site):
    assert run("a", table="") == ("None/None", False)
    assert run("b", blank=1, table='[provider.headers]\nX-Title = "PK"\n') == ("None/None", True)
    with closing(sqlite3.connect("batcher.db")) as store:
        assert store.execute("SELECT base_url, scope FROM endpoints").fetchall() == [(site.url, "")]


def test_a_resume_with_another_project_shares_with_that_one(run, site, monkeypatch):
    assert run("a", project="b") == ("cheap/b", False)
    monkeypatch.setenv("PROJECT", "a")
    file = job_file(Path("c.jsonl"), line("r", chat("same")), line("s", chat("other")))
    assert batcher("submit", file, "--cache", "all", "--base-url", site.url).code == 0
    monkeypatch.setenv("PROJECT", "b")
    sent = len(site.came)
    assert batcher("resume", "-q").code == 0
    assert len(site.came) == sent + 1
    assert batcher("status", "2", "--json").json["cached"] == 1

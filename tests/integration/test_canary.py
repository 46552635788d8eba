"""A key that must be nowhere: in no output, no log, no file that any command leaves behind."""

import json
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from batcher.cli import cli
from batcher.cli.lazy_group import COMMANDS
from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import Came, Says, endpoint, error, well
from tests.support.programs import running, until

KEY = "sk-proj-c4n4ryQ7rTz2LmX9vB8wKd5sHj1"
OTHER = "Bearer-less.c4n4ryHeader77.PqRs"
#: The whole, its end, its middle, and its beginning past the public prefix.
PARTS = [KEY, KEY[-8:], KEY[12:24], KEY[:16], KEY[8:16], OTHER, OTHER[12:24]]

SETTINGS = '[provider.headers]\nX-Project-Token = "PROJECT_TOKEN"\n'
LOUD = ["-v", "--debug", "--log-file", "log.jsonl", "--log-format", "json"]


def telling(came: Came) -> Says:
    """An endpoint that repeats the key in every way that providers have: whole, masked, in headers, in answers."""
    if came.method == "GET":
        return well(came)
    key, token = came.headers["authorization"].removeprefix("Bearer "), came.headers["x-project-token"]
    asked = came.json.get("messages", [{"content": "bad"}])[0]["content"]
    echo = {"x-request-id": f"req_{key}", "x-echo": token, "retry-after": "0.05"}
    masked = f"{key[:12]}{'*' * 20}{key[-4:]}"
    replies = {
        "answer": Says(200, _answer(f"your key is {key}, your token {token}"), echo),
        "bad": Says(400, error(f"not with Bearer {key}", code=key), echo),
        "masked": Says(400, error(f"No such thing for {masked}.", param=key), echo),
        "page": Says(413, f"<html><title>{key}</title>{json.dumps(came.headers)}</html>", echo),
        "denied": Says(401, error(f"Incorrect API key provided: {key}", code="invalid_api_key"), echo),
        "broken": Says(200, {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "k": key}, echo),
    }
    return replies.get(asked.split()[0], replies["bad"])


def _answer(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


class Sweep:
    """Runs commands, and looks for the key in what they say and leave."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.called: set[tuple[str, ...]] = set()

    def run(self, *args: object, code: int) -> str:
        called = batcher(*args)
        said = called.out_bytes + called.err.encode()
        assert called.code == code, (args, said.decode())
        words = tuple(str(arg) for arg in args)
        self.called.update({words[:1], words[:2]})
        self.look(f"output of {args}", said)
        self.look_at_files(f"after {args}")
        return said.decode()

    def look(self, where: str, content: bytes) -> None:
        found = [part for part in PARTS if part.encode() in content]
        assert found == [], where

    def look_at_files(self, when: str) -> None:
        for path in self._folder.rglob("*"):
            if path.is_file():
                self.look(f"{path.name} {when}", path.read_bytes())
                self.look(f"name of {path.name}", path.name.encode())


@pytest.fixture
def sweep(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PROJECT_TOKEN", OTHER)
    for name in ("ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    (folder / "batcher.toml").write_text(SETTINGS)
    texts = ["answer", "bad", "masked", "page", "broken"]
    job_file(folder / "job.jsonl", *(line(f"row-{text}", chat(f"{text} {text}")) for text in texts))
    job_file(folder / "denied.jsonl", *(line(f"row-{n}", chat(f"denied {n}")) for n in range(3)))
    return Sweep(folder)


def test_the_canary_key_is_found_nowhere(sweep, folder):
    with endpoint(telling) as site:
        at = ["--base-url", site.url]
        sweep.run("check", "job.jsonl", *LOUD, code=0)
        sweep.run("run", "job.jsonl", *at, *LOUD, code=3)
        assert any(came.headers["authorization"] == f"Bearer {KEY}" for came in site.came)
        assert "[key]" in (folder / "job.results.jsonl").read_text()
        sweep.run("run", "denied.jsonl", *at, *LOUD, "--json", code=4)
        sweep.run("submit", "denied.jsonl", *at, "--new", *LOUD, code=0)
        sweep.run("resume", 2, *LOUD, code=4)
        sweep.run("status", *LOUD, code=0)
        sweep.run("status", 2, "--json", *LOUD, code=0)
        sweep.run("results", 1, "-o", "-", "--errors", "more.jsonl", *LOUD, code=0)
        sweep.run("results", 2, *LOUD, code=1)
        sweep.run("dlq", "list", *LOUD, code=0)
        sweep.run("dlq", "summary", *LOUD, code=0)
        sweep.run("dlq", "summary", "--json", code=0)
        sweep.run("dlq", "export", "-o", "dead.jsonl", *LOUD, code=0)
        listed = json.loads(batcher("dlq", "list", "--json").out)["data"]
        assert len(listed) == 4
        for letter in listed:
            sweep.run("dlq", "show", letter["request"], *LOUD, code=0)
            sweep.run("dlq", "show", letter["request"], "--json", code=0)
        sweep.run("doctor", *at, "--save", "note.md", *LOUD, code=1)
        sweep.run("doctor", *at, "--model", "m", "--json", code=1)
        sweep.run("bundle", "--job", 1, "-o", "one.zip", *LOUD, code=0)
        sweep.run("bundle", "--job", 1, "-o", "whole.zip", "--with-content", "--json", code=0)
        sweep.run("bundle", "--job", 2, "-o", "two.zip", "--with-content", code=0)
        _look_into_zips(sweep, folder)
        sweep.run("cache", "stats", *LOUD, code=0)
        sweep.run("db", "check", *LOUD, code=0)
        sweep.run("db", "backup", "copy.db", *LOUD, code=0)
        sweep.run("db", "upgrade", *LOUD, code=0)
        sweep.run("db", "compact", *LOUD, code=0)
        sweep.run("dlq", "retry", "--all", "--probe", *LOUD, code=3)
        sweep.run("dlq", "retry", "--all", *LOUD, code=0)
        sweep.run("resume", 1, *LOUD, code=3)
        sweep.run("dlq", "discard", "--job", 1, "--yes", *LOUD, code=0)
        sweep.run("cache", "clear", "--yes", *LOUD, code=0)
        sweep.run("cancel", 2, *LOUD, code=0)
        sweep.run("delete", 2, "--yes", *LOUD, code=0)
    _simulate(sweep)
    assert set(_all_commands()) - sweep.called == {("simulate",)}


def _all_commands() -> Iterator[tuple[str, ...]]:
    """Every command by its words; of a group, what it holds."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        inner = command.list_commands(context) if isinstance(command, click.Group) else []
        if inner:
            yield from ((name, each) for each in inner)
        else:
            yield (name,)


def _look_into_zips(sweep, folder):
    for path in folder.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                sweep.look(f"{name} of {path.name}", archive.read(name))


def _simulate(sweep):
    """The simulated provider, which is sent the right key and a wrong one."""
    with running(
        "simulate", "--port", "0", "--api-key-env", "OPENAI_API_KEY", "--journal", "journal.jsonl"
    ) as served:
        until(lambda: b"http://" in served.said or served.is_over or _url_of(served) is not None)
        url = _url_of(served)
        assert url is not None
        sweep.run("doctor", "--base-url", url, *LOUD, code=0)
        served.send(signal.SIGTERM)
        _, out, err = served.end()
    sweep.look("output of simulate", (out + err).encode())
    sweep.look_at_files("after simulate")


def _url_of(served):
    """What it said on stdout or stderr."""
    said = bytes(served._out) + bytes(served._err)
    return next((word.decode().rstrip(".,") for word in said.split() if word.startswith(b"http://")), None)


@pytest.mark.parametrize(
    "args",
    [
        ["run", "job.jsonl", "--api-key-env", KEY],
        ["run", "job.jsonl", "--base-url", f"https://user:{KEY}@host/v1"],
        ["run", "job.jsonl", "--base-url", f"ftp://user:{KEY}@host/v1"],
        ["doctor", "--api-key-env", KEY],
        ["doctor", "--base-url", f"https://{KEY}@host/v1", "--json"],
        ["run", "missing.jsonl"],
        ["run", "job.jsonl", "--ca-file", "missing.pem"],
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(sweep, args):
    called = batcher(*args, "--debug")
    assert called.code in {1, 2}
    sweep.look("output", called.out_bytes + called.err.encode())
    sweep.look_at_files("after it")


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "PROJECT_TOKEN"])
def test_a_key_with_a_flaw_is_refused_without_being_repeated(sweep, monkeypatch, name):
    monkeypatch.setenv(name, f"{KEY}\n{OTHER}")
    for command in (["run", "job.jsonl"], ["doctor"]):
        called = batcher(*command, "--debug")
        assert called.code in {1, 2}
        sweep.look("output", called.out_bytes + called.err.encode())

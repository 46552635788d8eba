"""A secret in a base URL is sent, and shown nowhere: no status, message, log, bundle or traceback has it."""

import json
import sqlite3
import zipfile
from contextlib import closing

import pytest

from batcher.sender.http import HttpSender
from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import ANSWER, Says, endpoint, error

SECRETS = ("tok_5f2d8c1e9b7a4c3d", "FuncCode0123456789")


@pytest.fixture(params=["answers", "echoes", "raises"])
def said(request, folder, monkeypatch):
    def says(came):
        if "bad" in came.body.decode():
            return Says(400, error(f"cannot POST {came.path}"))
        return Says(404, error(f"no route {came.path}")) if request.param == "echoes" else Says(200, ANSWER)

    if request.param == "raises":

        async def send(self, **_):
            raise RuntimeError(f"no way to {self._target.base_url} {self._target!r}")

        monkeypatch.setattr(HttpSender, "send", send)
    job_file(folder / "j.jsonl", line("a"), line("bad", chat("bad")))
    said = []
    with endpoint(says) as server:
        url = f"{server.url.removesuffix('/v1')}/{SECRETS[0]}/v1?code={SECRETS[1]}"
        run = (
            "run",
            "j.jsonl",
            "--base-url",
            url,
            "--debug",
            "-v",
            "--log-file",
            "run.log",
            "--max-attempts",
            "1",
        )
        commands = [
            run,
            ("resume", "1", "--rpm", "100"),
            ("status", "1"),
            ("status", "1", "--json"),
            ("dlq", "list"),
            ("dlq", "summary", "--json"),
            ("dlq", "show", "2"),
            ("dlq", "export", "--all", "-o", "again.jsonl"),
            ("cache", "stats"),
            ("results", "1", "--partial", "-o", "-"),
            ("bundle", "--job", "1", "-o", "b.zip"),
            ("doctor", "--base-url", url),
            ("run", "j.jsonl", "--base-url", url, "--simulate"),
        ]
        for command in commands:
            called = batcher(*command)
            said.append((command[0], called.out + called.err))
        if request.param != "raises":
            assert f"/{SECRETS[0]}/chat/completions?code={SECRETS[1]}" in {
                came.path.replace("/v1", "") for came in server.came
            }
    return said


def test_it_is_shown_nowhere(said, folder):
    for command, text in said:
        for secret in SECRETS:
            assert secret not in text, command
    for path in folder.iterdir():
        if not path.name.startswith("batcher.db"):
            content = path.read_bytes()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as bundle:
                    content = b"".join(bundle.read(name) for name in bundle.namelist())
            assert not any(secret.encode() in content for secret in SECRETS), path
    with closing(sqlite3.connect(folder / "batcher.db")) as store:
        for table in ("attempts", "pauses", "holders", "responses"):
            for row in store.execute(f"SELECT * FROM {table}"):  # noqa: S608 - our own names
                assert not any(secret in json.dumps(row, default=bytes.decode) for secret in SECRETS), table

"""`batcher simulate`: the simulated provider as a program."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.commands import batcher, chat


@contextmanager
def simulating(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program on a free port, and its base URL."""
    command = [sys.executable, "-m", "batcher", "simulate", "--port", "0", "--latency", "0", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def post(url, body, **headers):
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - loopback
            return reply.status, dict(reply.headers)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, dict(refused.headers)


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.usefixtures("folder")
def test_it_prints_its_url_serves_and_ends_by_a_signal(which, code):
    with simulating() as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        assert post(url, chat())[0] == 200
        process.send_signal(which)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert f"batcher run FILE --base-url {url}" in err
    assert "1 requests: 1 answered, 0 refused" in err


def test_its_options_reach_the_provider(folder, monkeypatch):
    monkeypatch.setenv("LET_IN", "sk-the-only-one")
    flags = ["--rpm", "60", "--rpm", "big=600", "--tpm", "6k", "--no-retry-after", "--api-key-env", "LET_IN"]
    with simulating(*flags, "--journal", "seen.jsonl") as (process, url):
        key = {"authorization": "Bearer sk-the-only-one"}
        assert post(url, chat())[0] == 401
        first = post(url, chat(), **key)
        assert (first[0], first[1]["x-ratelimit-limit-requests"]) == (200, "60")
        assert post(url, {**chat(), "model": "big"}, **key)[1]["x-ratelimit-limit-requests"] == "600"
        status, headers = post(url, chat("again"), **key)
        assert (status, "retry-after" in headers) == (429, False)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    journal = (folder / "seen.jsonl").read_text()
    assert [json.loads(line)["status"] for line in journal.splitlines()] == [401, 200, 200, 429]
    assert "sk-the-only-one" not in journal + err


@pytest.mark.usefixtures("folder")
def test_a_port_that_is_taken_is_an_error_that_names_it():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        called = batcher("simulate", "--port", port)
    assert (called.code, called.out) == (1, "")
    assert f"cannot listen on 127.0.0.1:{port}" in called.err
    assert "--port 0" in called.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--fail", "2"], "the share of failures is 2"),
        (["--latency", "-1"], "latency"),
        (["--burst", "0"], "burst"),
        (["--rpm", "many"], "--rpm must be a number"),
        (["--port", "70000"], "in the range 0<=x<=65535"),
        (["--charge", "double"], "double"),
        (["--api-key-env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["--journal", "nowhere/seen.jsonl", "--port", "0"], "cannot write the journal"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_use_is_exit_2_with_a_reason(args, says):
    called = batcher("simulate", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err

"""Runs against servers that nobody here wrote, in build/tools (`make tools`); skipped where they are absent."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_certificate
from tests.support.programs import Provider, provider_process, rows_of

TOOLS = Path(__file__).parents[2] / "build" / "tools"
ROWS = 500
KEY = "sk-made-up-for-tests"


def tool(name: str, place: str) -> str:
    """The tool's program, or a skip."""
    found = shutil.which(name, path=os.fspath(TOOLS / place))
    if found is None:
        pytest.skip(f"{name} is not installed in build/tools: `make tools` does")
    return found


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 30
            while not listens(port):
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def listens(port: int) -> bool:
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def asked(name: str, **more: object) -> dict[str, Any]:
    """A line of a job file, with a question of its own."""
    message = {"role": "user", "content": f"Question {name}: how many apples?"}
    body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 16, **more}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def run(folder: Path, url: str, *args: str, lines: Sequence[Any] = (), code: int = 0, key: str = KEY) -> Any:
    """Run a job of distinct rows through the server; its status at the end."""
    lines = lines or [asked(f"row-{number}") for number in range(ROWS)]
    (folder / "job.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "-m", "batcher", "run", "job.jsonl", "--base-url", f"{url}/v1", "--json", "-q"]
    environ = {**os.environ, "OPENAI_API_KEY": key}
    done = subprocess.run(
        [*command, *args], cwd=folder, env=environ, capture_output=True, timeout=540, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout)


def answered(status: dict[str, Any]) -> object:
    return status["counts"]["completed"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_llmock_that_refuses_and_fails_is_answered_whole_and_finds_no_fault_with_us(tmp_path):
    llmock, port = tool("llmock", "llmock/bin"), free_port()
    rates = [part for rate in ("429=0.2", "500=0.1", "503=0.05") for part in ("--error-rate", rate)]
    with serving([llmock, "serve", "-h", "127.0.0.1", "-p", str(port), *rates, "--report"], port) as url:
        status = run(tmp_path, url)
        report = subprocess.run([llmock, "report", "--url", url], capture_output=True, check=False)
    assert answered(status) == ROWS
    assert report.returncode == 0, report.stdout.decode()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_aimock_that_drops_and_garbles_is_answered_whole(tmp_path):
    aimock, port = tool("llmock", "aimock/node_modules/.bin"), free_port()
    fixtures = tmp_path / "fixtures.json"
    answer = {"match": {"userMessage": "Question"}, "response": {"content": "forty two"}}
    fixtures.write_text(json.dumps({"fixtures": [answer]}))
    chaos = ["--chaos-drop", ".15", "--chaos-malformed", ".15", "--log-level", "silent"]
    with serving([aimock, "-p", str(port), "-h", "127.0.0.1", "-f", str(fixtures), *chaos], port) as url:
        # By chance alone one run in thirty has a row that is dropped or garbled six times.
        status = run(tmp_path, url, "--max-attempts", "12")
    assert answered(status) == ROWS


@contextmanager
def katan(folder: Path, *, at_once: int) -> Iterator[str]:
    """llm-katan over TLS, with a certificate that it has signed itself; past so many at once it says 503."""
    program, port = tool("llm-katan", "katan/bin"), free_port()
    certificate = make_certificate(folder, "IP:127.0.0.1")
    command = [program, "-m", "echo", "--backend", "echo", "-h", "127.0.0.1", "-p", str(port)]
    command += ["--tls-cert", str(certificate), "--tls-key", str(folder / "key.pem")]
    command += ["--validate-keys", "--api-keys", f"openai={KEY}", "--latency-ms", "20", "--log-level", "ERROR"]
    command += ["--max-inflight", str(at_once), "--max-concurrent", str(at_once), "--disable-dashboard"]
    with serving([*command, "--stats-file", str(folder / "stats.json")], port) as url:
        yield url.replace("http:", "https:")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_katan_that_is_soon_overloaded_is_answered_whole_over_its_own_certificate(tmp_path):
    lines = [asked(f"row-{number}") for number in range(200)]
    with katan(tmp_path, at_once=4) as url:
        status = run(tmp_path, url, "--ca-file", "certificate.pem", "--concurrency", "16", lines=lines)
    assert answered(status) == 200
    assert status["rate_limited"] > 0
    said = [
        each["response"]["body"]["choices"][0]["message"]["content"]
        for each in rows_of(tmp_path / "job.results.jsonl")
    ]
    assert all(f"Question row-{number}:" in text for number, text in enumerate(said))


def test_katan_that_does_not_know_the_key_pauses_the_run_and_spends_no_row(tmp_path):
    lines = [asked(f"row-{number}") for number in range(50)]
    with katan(tmp_path, at_once=50) as url:
        options = ("--ca-file", "certificate.pem")
        paused = run(tmp_path, url, *options, lines=lines, code=4, key="sk-of-another")
        assert (paused["paused"]["reason"], answered(paused)) == ("credentials", 0)
        assert paused["counts"]["dead_lettered"] == 0
        status = run(tmp_path, url, *options, lines=lines)
    assert answered(status) == 50


#: A gateway that speaks HTML: it refuses what comes too fast or is too large, and gives up on what takes too long.
_GATEWAY = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_body_buffer_size 64k; client_max_body_size 32k;
    limit_req_zone $server_name zone=all:1m rate=60r/s; limit_req_status 429;
    server {{
        listen 127.0.0.1:{port}; server_name all;
        location / {{
            limit_req zone=all burst=8 nodelay;
            proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_read_timeout 1s; proxy_connect_timeout 1s;
        }}
    }}
}}
"""


@contextmanager
def gateway(folder: Path, upstream: Provider) -> Iterator[str]:
    """nginx before the provider."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port, place = free_port(), folder / "nginx"
    place.mkdir()
    configuration = place / "nginx.conf"
    configuration.write_text(_GATEWAY.format(folder=place, port=port, upstream=upstream.url.removesuffix("/v1")))
    with serving([nginx, "-p", str(place), "-c", str(configuration), "-e", str(place / "error.log")], port) as url:
        yield url


def simulating(name: str, **asked_for: object) -> dict[str, Any]:
    """A row that tells the provider behind the gateway what to do with it."""
    return asked(name, metadata={"simulate": asked_for})


@pytest.mark.long
@pytest.mark.timeout(600)
def test_behind_nginx_every_row_is_answered_or_dead_lettered_for_what_the_gateway_said(tmp_path):
    lines = [asked(f"row-{number}") for number in range(300)]
    lines += [simulating(f"broken-{number}", reset=True, fail_times=1) for number in range(5)]
    lines += [simulating(f"slow-{number}", hang=3) for number in range(3)]
    lines += [asked(f"large-{number}", user="x" * 40_000) for number in range(3)]
    with provider_process(latency=0.05) as provider, gateway(tmp_path, provider) as url:
        status = run(tmp_path, url, "--max-attempts", "3", lines=lines, code=3)
    assert answered(status) == 305
    assert status["rate_limited"] > 0
    dead = {each["custom_id"]: each["response"] for each in rows_of(tmp_path / "job.errors.jsonl")}
    assert {name: reply["status_code"] for name, reply in dead.items()} == {
        **{f"slow-{number}": 504 for number in range(3)},
        **{f"large-{number}": 413 for number in range(3)},
    }
    assert all("<html>" in reply["body"] for reply in dead.values())


@pytest.mark.long
@pytest.mark.timeout(600)
def test_behind_nginx_a_provider_that_is_gone_for_a_while_costs_no_row(tmp_path):
    lines = [asked(f"row-{number}") for number in range(200)]
    behind = free_port()
    upstream = Provider(f"http://127.0.0.1:{behind}/v1")
    with gateway(tmp_path, upstream) as url, ThreadPoolExecutor(1) as pool:
        with provider_process(latency=0.05, port=behind):
            running = pool.submit(run, tmp_path, url, "--max-attempts", "2", lines=lines)
            upstream.wait_for(40)
        time.sleep(2)
        with provider_process(latency=0.05, port=behind):
            assert answered(running.result(300)) == 200

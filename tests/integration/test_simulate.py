"""The simulated provider over real HTTP on loopback, and the example job files against it."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batcher.simulate import Journal, RunningServer, SimulatedProvider, SimulatedServer, start

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.jsonl"))


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def asking(**simulate: Any) -> dict[str, Any]:
    return chat(metadata={"simulate": simulate})


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
async def quick() -> AsyncIterator[RunningServer]:
    async with SimulatedServer(SimulatedProvider(latency=0), journal=Journal(keep=True)) as running:
        yield running


async def post(
    client: aiohttp.ClientSession,
    server: RunningServer,
    body: Any,
    *,
    path: str = "/chat/completions",
    **headers: str,
) -> tuple[int, Any, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    async with client.post(server.url + path, data=BytesIO(raw), headers=headers) as response:
        text = await response.read()
        parsed = json.loads(text) if response.content_type == "application/json" else text
        return response.status, parsed, response.headers


async def stats(client: aiohttp.ClientSession, server: RunningServer) -> Any:
    async with client.get(server.stats_url) as response:
        return await response.json()


async def test_a_request_is_answered_with_openais_headers(
    client: aiohttp.ClientSession, quick: RunningServer
) -> None:
    status, body, headers = await post(client, quick, chat())
    assert status == 200
    assert body["choices"][0]["message"]["content"]
    assert headers["x-request-id"].startswith("req_")
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["content-type"] == "application/json"


async def test_limits_are_announced_and_kept(client: aiohttp.ClientSession) -> None:
    async with SimulatedServer(SimulatedProvider(rpm=300, tpm=60_000, latency=0)) as server:
        replies = [await post(client, server, chat(str(n))) for n in range(8)]
        seen = await stats(client, server)
    assert [status for status, _, _ in replies[:5]] == [200] * 5
    assert replies[0][2]["x-ratelimit-remaining-requests"] == "299"
    status, body, headers = replies[-1]
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(headers["retry-after-ms"]) <= 200
    assert seen["refused"] == seen["by_status"]["429"] == sum(status == 429 for status, _, _ in replies)
    assert seen["max_requests_1s"] == 8 > seen["max_admitted_1s"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/v1/nothing", 404), ("GET", "/v1/embeddings", 405), ("GET", "/", 404)]
)
async def test_errors_before_the_body_is_read_are_json(
    client: aiohttp.ClientSession, quick: RunningServer, method: str, path: str, status: int
) -> None:
    async with client.request(method, quick.url.removesuffix("/v1") + path) as response:
        assert response.status == status
        assert (await response.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "word"), [(b"{", "parse"), ({"messages": []}, "messages"), ({"messages": [{}]}, "model parameter")]
)
async def test_a_bad_body_is_a_400(
    client: aiohttp.ClientSession, quick: RunningServer, body: object, word: str
) -> None:
    status, reply, _ = await post(client, quick, body)
    assert status == 400
    assert word in reply["error"]["message"]


async def test_a_body_of_64_mebibytes_is_taken(client: aiohttp.ClientSession, quick: RunningServer) -> None:
    status, body, _ = await post(client, quick, chat("x" * (64 * 1024 * 1024)))
    assert status == 200
    assert body["usage"]["prompt_tokens"] > 16_000_000


async def test_a_body_above_the_maximum_is_a_413(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batcher.simulate.server._LARGEST_BODY", 1000)
    async with SimulatedServer(SimulatedProvider(latency=0)) as server:
        status, body, _ = await post(client, server, chat("x" * 1000))
        assert (status, body["error"]["code"]) == (413, "request_too_large")
        assert (await stats(client, server))["by_status"] == {"413": 1}


async def test_the_key_comes_as_a_bearer(client: aiohttp.ClientSession) -> None:
    async with SimulatedServer(SimulatedProvider(api_key="sk-right", latency=0)) as server:
        assert (await post(client, server, chat()))[0] == 401
        assert (await post(client, server, chat(), authorization="Bearer sk-wrong"))[0] == 401
        assert (await post(client, server, chat(), authorization="Bearer sk-right"))[0] == 200


async def test_models_are_listed(client: aiohttp.ClientSession, quick: RunningServer) -> None:
    async with client.get(f"{quick.url}/models") as response:
        assert "gpt-4o-mini" in {card["id"] for card in (await response.json())["data"]}


async def test_a_reset_breaks_the_connection_once_and_then_answers(
    client: aiohttp.ClientSession, quick: RunningServer
) -> None:
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await post(client, quick, asking(reset=True, fail_times=1))
    assert (await post(client, quick, asking(reset=True, fail_times=1)))[0] == 200
    assert quick.journal.stats().by_status == {"200": 1, "none": 1}


async def test_a_cut_reply_ends_before_its_length(client: aiohttp.ClientSession, quick: RunningServer) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(client, quick, asking(cut=True, fail_times=1))
    assert (await post(client, quick, asking(cut=True, fail_times=1)))[0] == 200


async def test_a_page_of_a_proxy_is_html(client: aiohttp.ClientSession, quick: RunningServer) -> None:
    status, body, headers = await post(client, quick, asking(html=502))
    assert (status, headers["content-type"]) == (502, "text/html")
    assert b"502 Bad Gateway" in body


async def test_a_hang_holds_the_reply_back_and_a_client_that_leaves_ends_it(
    client: aiohttp.ClientSession, quick: RunningServer
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(post(client, quick, asking(hang=30)), 0.1)
    async with asyncio.timeout(5):
        while quick.journal.stats().in_flight:
            await asyncio.sleep(0.01)
    assert quick.journal.stats().by_status == {"none": 1}


async def test_hundreds_wait_at_the_same_time(client: aiohttp.ClientSession) -> None:
    async with SimulatedServer(SimulatedProvider(latency=0.5, latency_sigma=0)) as server:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(post(client, server, chat(str(n)))) for n in range(300)]
        seen = await stats(client, server)
    assert {task.result()[0] for task in tasks} == {200}
    assert seen["peak_in_flight"] > 100
    assert seen["distinct_bodies"] == 300


async def test_stopping_does_not_wait_for_a_reply_that_hangs(client: aiohttp.ClientSession) -> None:
    server = await start(SimulatedProvider(latency=0))
    hanging = asyncio.create_task(post(client, server, asking(hang=60)))
    while not server.journal.stats().in_flight:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await hanging
    await server.stop()


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind(quick: RunningServer) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await start(SimulatedProvider(port=quick.port))


async def test_the_journal_records_every_request(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    class StoppedClock:
        def now(self) -> int:
            return 1_700_000_000_000_000

    path = tmp_path / "journal.jsonl"
    settings = SimulatedProvider(latency=0, rpm=60)
    async with SimulatedServer(settings, journal=Journal(path=path), clock=StoppedClock()) as server:
        await post(client, server, chat(max_tokens=50), x_client_request_id="c-1")
        await post(client, server, chat(), x_client_request_id="c-2")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["status"], first["charge"], first["client_request_id"]) == (200, 50, "c-1")
    assert (second["status"], second["charge"], second["client_request_id"]) == (429, None, "c-2")
    assert (first["model"], first["path"], first["wall"]) == ("m", "/v1/chat/completions", 1_700_000_000_000_000)
    assert first["body"] != second["body"]
    assert first["at"] < second["at"]


def requests_of(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """(path after /v1, body) of every line, with or without an envelope."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        (line["url"].removeprefix("/v1"), line["body"])
        if "body" in line
        else ("/chat/completions", {key: value for key, value in line.items() if key != "custom_id"})
        for line in lines
    ]


@pytest.mark.parametrize("file", [file for file in JOBS if file.stem != "failures"], ids=lambda file: file.stem)
async def test_every_row_of_an_example_job_is_answered(
    client: aiohttp.ClientSession, quick: RunningServer, file: Path
) -> None:
    rows = requests_of(file)
    assert 5 <= len(rows) <= 30
    for path, body in rows:
        status, reply, _ = await post(client, quick, body, path=path)
        assert status == 200, reply
        assert "incomplete" not in json.dumps(reply.get("status"))


async def test_the_job_of_failures_ends_as_its_rows_say(
    client: aiohttp.ClientSession, quick: RunningServer
) -> None:
    file = next(file for file in JOBS if file.stem == "failures")
    names = [json.loads(line)["custom_id"] for line in file.read_text().splitlines()]
    last = {}
    for name, (path, body) in zip(names, requests_of(file), strict=True):
        if name == "slow":
            body["metadata"]["simulate"]["hang"] = 0
        for _ in range(3):
            try:
                status, reply, _ = await post(client, quick, body, path=path)
            except aiohttp.ClientError:
                continue
            last[name] = _end(status, reply)
    assert last == dict.fromkeys(names[:8], "stop") | {
        "too-long": "context_length_exceeded",
        "too-long-again": "context_length_exceeded",
        "filtered": "content_filter",
        "policy": "content_policy_violation",
        "too-hot": "invalid_value",
        "no-choices": "none",
    }


def _end(status: int, reply: Any) -> str:
    """Return the error's code, or why the answer stopped (one cut at its maximum counts as complete)."""
    if isinstance(reply, bytes):
        return f"page {status}"
    if "error" in reply:
        return str(reply["error"]["code"])
    reasons = [choice["finish_reason"] for choice in reply["choices"]] or ["none"]
    return "stop" if reasons == ["length"] else str(reasons[0])


def test_no_example_asks_for_what_pauses_a_run() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in JOBS)
    assert not any(word in text for word in ("invalid_api_key", "insufficient_quota", '"status": 401'))

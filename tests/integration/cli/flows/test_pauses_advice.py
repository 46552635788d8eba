"""What a pause says about keys and addresses: what was sent, what is wrong, and a command that continues."""

from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import jobs_now, provider, replying, rows, run_on

pytestmark = pytest.mark.usefixtures("folder")

REFUSED = {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}


def test_where_no_key_was_sent_that_is_said() -> None:
    with replying(lambda _, __: (401, REFUSED)) as (server, _):
        called = run_on(server, job_file(Path("j.jsonl"), *rows(4)))
    assert called.code == 4
    assert "paused: No key was sent: Incorrect API key provided." in called.out
    assert "no key was sent, because OPENAI_API_KEY is not set" in called.out
    assert "then run `batcher resume 1`" in called.out


def test_a_refused_key_in_a_header_of_its_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", "azure-key-0123456789")
    Path("batcher.toml").write_text('[provider.headers]\napi-key = "AZURE_KEY"\n')
    with replying(lambda _, __: (401, REFUSED)) as (server, _):
        called = run_on(server, job_file(Path("j.jsonl"), *rows(4)))
    assert called.code == 4
    assert "put a working key into AZURE_KEY, which holds the header api-key" in called.out
    assert "No key was sent" not in called.out


@pytest.mark.parametrize("count", [1, 3, 40])
def test_an_unknown_host_is_named_at_once_and_the_right_one_continues(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    file = job_file(Path("j.jsonl"), *rows(count))
    called = batcher("run", file, "--base-url", "https://no-such-host.invalid/v1")
    assert called.code == 4
    assert "the host of no-such-host.invalid:443 cannot be found" in called.out
    assert "`batcher doctor --base-url URL`" in called.out
    assert "`batcher resume 1 --base-url URL`" in called.out
    assert batcher("resume", 1, "--base-url", "URL").code == 2
    with provider() as server:
        assert batcher("resume", 1, "--base-url", server.url).code == 0
    assert jobs_now()[0]["counts"]["completed"] == count


@pytest.mark.parametrize("code", ["model_not_found", "other"])
def test_a_pause_about_a_model_says_once_how_to_give_its_rows_up(code: str) -> None:
    unknown = {"error": {"message": "The model `m` does not exist.", "code": code}}
    with replying(lambda _, __: (404, unknown)) as (server, _):
        called = run_on(server, job_file(Path("j.jsonl"), *rows(4)))
    assert called.code == 4
    assert called.out.count("batcher cancel 1") == 1

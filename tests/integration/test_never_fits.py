"""A row that can never fit the limit of its lane dies unsent, with its figures."""

from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import provider_process, run_on

pytestmark = pytest.mark.usefixtures("folder")

TPM = 1_200_000


def test_a_row_larger_than_a_minute_of_the_limit_is_a_dead_letter_that_was_never_sent() -> None:
    small = [line(f"row-{number}", chat(f"row {number}") | {"max_tokens": 2_000}) for number in range(30)]
    huge = line("huge", chat("huge") | {"max_tokens": TPM + 1})
    file = job_file(Path("j.jsonl"), *small, huge)
    with provider_process(tpm=TPM, charge="sum", latency=0.02) as server:
        called = run_on(server, file, "--tpm", TPM, "--json")
        assert server.requests == 30
    assert called.code == 3
    assert called.json["counts"]["completed"] == 30
    [letter] = batcher("dlq", "list", "--json").json["data"]
    assert (letter["custom_id"], letter["kind"], letter["code"]) == ("huge", "permanent", "never_fits")
    assert (letter["status"], letter["attempts"]) == (None, 0)
    assert "1,200,001 tokens" in letter["message"]
    assert "1,200,000 tokens a minute" in letter["message"]
    assert "--set max_tokens=N" in letter["advice"]

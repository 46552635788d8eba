"""A row that kills whoever sends it: it runs last and alone in the end, and no healthy row dies with it."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import Came, Says, endpoint
from tests.support.programs import Running, rows_of, running
from tests.torture.forms import patient

pytestmark = [pytest.mark.usefixtures("folder"), patient]

HEALTHY = 40


class Poisoned:
    """A provider whose one request ends the process that sent it."""

    def __init__(self) -> None:
        self.program: Running | None = None
        #: Each row's text as it came in, by the run that sent it.
        self.runs: list[list[str]] = []
        self._mutex = threading.Lock()
        self.sending = 0
        #: How many others were out when the poison came.
        self.beside: list[int] = []

    def says(self, came: Came) -> Says:
        text = came.json["messages"][0]["content"]
        with self._mutex:
            self.runs[-1].append(text)
            self.sending += 1
            if text == "poison":
                self.beside.append(self.sending - 1)
        if text == "poison":
            assert self.program is not None
            os.kill(self.program.pid, signal.SIGKILL)
        time.sleep(0.05)
        with self._mutex:
            self.sending -= 1
        message = {"role": "assistant", "content": "x"}
        return Says(200, {"choices": [{"message": message, "finish_reason": "stop"}]})


def test_a_row_that_kills_its_runner_runs_last_and_alone_and_is_given_up(tell) -> None:
    rows = [line(f"row-{number}") for number in range(HEALTHY)]
    rows.insert(3, line("poison", chat("poison")))
    file = job_file(Path("j.jsonl"), *rows)
    provider = Poisoned()
    codes: list[int] = []
    with endpoint(provider.says) as site:
        assert batcher("submit", file, "--base-url", site.url).code == 0
        while not codes or codes[-1] < 0:
            assert len(codes) < 10
            provider.runs.append([])
            with running("resume", "--concurrency", 4) as program:
                provider.program = program
                codes.append(program.end()[0])
    assert codes == [-signal.SIGKILL] * 5 + [3]
    poisoned = ["poison" in run for run in provider.runs]
    assert poisoned == [True] * 5 + [False]
    # Three times among others, from then on after all of them and with nobody beside it.
    for run in provider.runs[3:5]:
        assert run[-1] == "poison"
    assert provider.beside[3:] == [0, 0]
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == [f"row-{n}" for n in range(HEALTHY)]
    (lost,) = rows_of("j.errors.jsonl")
    assert (lost["custom_id"], lost["error"]["code"]) == ("poison", "worker_lost")
    assert json.loads(batcher("status", 1, "--json").out)["counts"]["dead_lettered"] == 1
    sent = [text for run in provider.runs for text in run if text != "poison"]
    tell("poison row", times=5, rows=HEALTHY + 1, lost=0, repeats=len(sent) - HEALTHY)

"""The `batcher` command run within the test's process, and jobs to run it on."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from batcher.cli import main


@dataclass(frozen=True)
class Called:
    """How a command ended and what it said."""

    code: int
    out_bytes: bytes
    err: str

    @property
    def out(self) -> str:
        return self.out_bytes.decode()

    @property
    def json(self) -> Any:
        """stdout as the one JSON document it must be."""
        return json.loads(self.out_bytes)


def batcher(*args: object, stdin: str = "") -> Called:
    """Run the command in the working directory; its streams are caught, none of them a terminal."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")),
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
    ):
        code = _exit_code([str(arg) for arg in args])
        out.flush()
        err.flush()
    return Called(code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def _exit_code(args: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(args)
    assert isinstance(end.value.code, int)
    return end.value.code


@contextmanager
def answering(reply: str) -> Iterator[None]:
    """A person sits at a terminal and types this."""
    with (
        patch("batcher.cli.terminal.confirm.on_terminal", lambda: True),
        patch("click.confirm", lambda *_, **__: reply == "y"),
    ):
        yield


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def line(
    custom_id: str, body: dict[str, Any] | None = None, *, url: str = "/v1/chat/completions"
) -> dict[str, Any]:
    body = chat(custom_id) if body is None else body
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def job_file(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A job file of these lines; a string stands in it as it is."""
    texts = (each if isinstance(each, str) else json.dumps(each) for each in lines)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path

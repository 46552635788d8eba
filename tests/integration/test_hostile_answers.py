"""A provider that lies, bombs and paints: nothing raw reaches a terminal or a file, memory stays bounded."""

import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import on_terminal, rows_of
from tests.support.talking import Talks, talking

pytestmark = pytest.mark.usefixtures("folder")

#: Clears the screen, writes the clipboard, sets the title, reverses the line, deletes, breaks the line.
PAINT = "\x1b[2J\x1b]52;c;cm0gLXJm\x07\x1b]0;gone\x1b\\\u202e\x9b31m\x08\x7f\r\u2028\x00\u200b"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]")


def said(status: int, document: object, *headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = [f"HTTP/1.1 {status} {PAINT[:3]}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode("utf-8") + body


def well(text: str, model: str = "m") -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": PAINT, "model": model, "choices": [choice]}


def error(**more: object) -> dict[str, object]:
    return {"error": {"message": f"no {PAINT}", "type": PAINT, "code": f"c{PAINT}", "param": PAINT, **more}}


_IDS = ("x-request-id: \x1b]52;c;aGk=\x07", "cf-ray: \u202eid", "retry-after: \x1b[1m")
_LIMITS = ("x-ratelimit-limit-requests: \x1b[31m9", "x-ratelimit-reset-requests: \x1b[2J1s")

#: What each row's text gets; most of it is repeated in messages to people.
PAINTED: dict[str, bytes] = {
    "answer": said(200, well(PAINT, PAINT)),
    "error": said(400, error(), *_IDS, *_LIMITS),
    "list": said(400, {"detail": [{"loc": [PAINT], "msg": PAINT}]}),
    "word": said(400, json.dumps(PAINT).encode()),
    "text": said(400, f"nothing {PAINT}".encode()),
    "page": said(413, f"<html><title>{PAINT}</title><h1>{PAINT}</h1></html>".encode()),
    "latin": said(400, "größe \x1b[31m".encode("latin-1")),
    "utf-16": said(400, json.dumps(error()).encode("utf-16")),
    "long": said(400, error(message="x" * 100_000 + PAINT)),
    "number": said(400, {"error": {"message": 7, "code": [PAINT], "type": {PAINT: 1}}}),
    "deep": said(400, b'{"error":' * 50_000),
    "surrogate": said(400, rb'{"error": {"message": "\ud800\u001b[2J", "code": "\udc00"}}'),
    "not-json": said(200, f"OK {PAINT}".encode()),
    "nothing": said(200, b""),
    "nan": said(200, b'{"choices": [{"message": {"content": NaN}}]}'),
}


#: What stops a run.
STOPPING: dict[str, bytes] = {
    "denied": said(401, error(code="invalid_api_key"), *_IDS),
    "broke": said(429, error(code="insufficient_quota", type="insufficient_quota"), *_IDS, *_LIMITS),
    "no-model": said(404, error(code="model_not_found"), *_IDS),
    "elsewhere": said(404, f"<html><title>{PAINT}</title>".encode()),
}


def painted(body: bytes, say: Callable[[bytes], None]) -> None:
    text = json.loads(body)["messages"][0]["content"].split()[0]
    say({**PAINTED, **STOPPING}[text])


def painted_file() -> Path:
    rows = [{**line(f"{name} {PAINT}", chat(f"{name} x")), "extra": PAINT} for name in PAINTED]
    rows[0]["body"]["model"] = f"m{PAINT}"
    return job_file(Path("j.jsonl"), *rows)


def test_nothing_that_a_provider_or_a_file_says_comes_out_raw() -> None:
    loud = ("-v", "--log-file", "log.txt")
    with talking(painted) as url:
        called = batcher("run", painted_file(), "--base-url", url, "--max-attempts", 1, *loud)
    assert called.code == 3, called
    texts = [called.out, called.err, Path("log.txt").read_text()]
    letters = batcher("dlq", "list", "--json").json["data"]
    assert len(letters) == len(PAINTED) - 1
    commands = [("status",), ("status", 1), ("dlq", "list"), ("dlq", "summary"), ("results", "-o", "r.jsonl")]
    commands += [("dlq", "show", letter["request"]) for letter in letters]
    commands += [(*command, "--json") for command in commands if command[0] != "results"]
    for command in commands:
        shown = batcher(*command, "--debug")
        assert shown.code == 0, shown
        texts += [shown.out, shown.err]
    for name in ("j.results.jsonl", "j.errors.jsonl"):
        # What is beyond ASCII stays the provider's own bytes there.
        assert b"\x1b" not in Path(name).read_bytes()
    assert batcher("bundle", "--job", 1, "-o", "b.zip").code == 0
    with zipfile.ZipFile("b.zip") as archive:
        texts += [archive.read(name).decode() for name in archive.namelist()]
    for text in texts:
        found = CONTROL.search(text)
        assert found is None, text[max(0, found.start() - 80) : found.end() + 20]
    assert [row["custom_id"] for row in rows_of("j.errors.jsonl")] == [f"{n} {PAINT}" for n in list(PAINTED)[1:]]
    assert json.loads(Path("j.results.jsonl").read_bytes())["response"]["body"]["id"] == PAINT


@pytest.mark.parametrize("name", STOPPING)
def test_why_a_run_is_paused_is_told_without_anything_raw(name: str) -> None:
    file = job_file(Path("j.jsonl"), line(PAINT, chat(f"{name} x", model=f"m{PAINT}")))
    with talking(painted) as url:
        called = batcher("run", file, "--base-url", url, "-v")
        told = batcher("doctor", "--base-url", url, "--save", "note.md")
    assert called.code == 4, called
    shown = [called, told, batcher("status"), batcher("status", 1), batcher("status", 1, "--json")]
    for text in [each.out + each.err for each in shown] + [Path("note.md").read_text()]:
        assert CONTROL.search(text) is None, text


def test_nothing_comes_out_raw_on_a_terminal() -> None:
    with (
        talking(painted) as url,
        on_terminal("run", painted_file(), "--base-url", url, "--max-attempts", "1", "-v") as (process, terminal),
    ):
        assert terminal.shows("next:")
        assert process.wait(30) == 3
        shown = terminal._shown.decode()
        terminal.close()
    with on_terminal("results", 1, "-o", "-") as (process, terminal):
        assert terminal.shows("1 answered")
        shown += terminal._shown.decode()
        terminal.close()
    assert r"\u009b31m" in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert r"\x1b]52" in shown


MIB = 1 << 20


def bomb(_: bytes, say: Callable[[bytes], None]) -> None:
    packer = zlib.compressobj(9, wbits=31)
    content = b"".join(packer.compress(b"\0" * MIB) for _piece in range(600)) + packer.flush()
    say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(content) + content)


def flood(_: bytes, say: Callable[[bytes], None]) -> None:
    say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
    for _piece in range(400):
        say(b"x" * MIB)


def hundred(_: bytes, say: Callable[[bytes], None]) -> None:
    say(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % (100 * MIB) + b'{"error": "')
    for _piece in range(100):
        say(b"x" * MIB)


def whole(_: bytes, say: Callable[[bytes], None]) -> None:
    document = json.dumps(well("y" * (60 * MIB))).encode()
    say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(document) + document)


#: Runs the program and leaves the peak of its memory, in KiB, in the file `peak`: what a parent is told of a child
#: counts the parent's own pages, from before the program was loaded.
MEASURED = """
import re, pathlib, sys
from batcher.cli import main
try:
    main(sys.argv[1:])
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path("peak").write_text(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.parametrize(
    ("talks", "code", "word"),
    [(bomb, 3, "larger than"), (flood, 3, "larger than"), (hundred, 3, "larger than"), (whole, 0, None)],
    ids=["bomb", "flood", "100 MB", "60 MB whole"],
)
def test_the_memory_of_a_run_stays_bounded(talks: Talks, code: int, word: str | None) -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with talking(talks) as url:
        command = [
            sys.executable,
            "-c",
            MEASURED,
            "run",
            str(file),
            "--base-url",
            url,
            "--max-attempts",
            "1",
            "-q",
        ]
        assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == code
    if word is not None:
        (row,) = rows_of("j.errors.jsonl")
        assert word in row["error"]["message"]
    peak = int(Path("peak").read_text()) // 1024
    # The cap of a reply is 64 MiB; one that is whole is looked into, stored and written out.
    assert peak < (600 if word is None else 250), f"{peak} MiB"

"""Files in other forms than a job file's: named once, and the command that is named makes job lines of them."""

import gzip
import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import jobs_now

pytestmark = pytest.mark.usefixtures("folder")

_TEMPLATE = "REPLACE-WITH-MODEL-DEPLOYMENT-NAME"
_RESULTS = "a line of results"
_LOCAL = ("--base-url", "http://127.0.0.1:1/v1")
_COMMAND = re.compile(r"`((?:jq|gzip|zstd|python3|sed|iconv) .+?> (?:'[^'`]+'|[^\s`]+))`", re.DOTALL)
_TURN = {"role": "user", "parts": [{"text": "Name a river"}]}
_IMAGE = {"inlineData": {"mimeType": "image/png", "data": "QUFB"}}
_SYSTEM = [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}]


def text_of(*documents: object, indent: int | None = None) -> str:
    return "".join(json.dumps(each, indent=indent) + "\n" for each in documents)


def numbered(count: int, **more: object) -> list[dict[str, object]]:
    return [{**line(f"row-{n}"), **more} for n in range(count)]


#: Form → the file's name, its content, and how many requests the named command makes of it.
CONVERTED: dict[str, tuple[str, str | bytes, int]] = {
    "gemini": ("g.jsonl", text_of(*({"key": f"k{n}", "request": {"contents": [_TURN]}} for n in range(4))), 4),
    "gemini of Vertex, with an image": (
        "v.jsonl",
        text_of({"request": {"contents": [{"parts": [{"text": "What?"}, _IMAGE]}], "systemInstruction": _TURN}}),
        1,
    ),
    "gemini, compressed": (
        "g.jsonl.gz",
        gzip.compress(text_of({"id": "a", "request": {"contents": [_TURN]}}).encode()),
        1,
    ),
    "gemini among requests": (
        "among.jsonl",
        text_of(line("a"), {"key": "k", "request": {"contents": [_TURN]}}, line("b")),
        3,
    ),
    "anthropic": (
        "a.jsonl",
        text_of({"custom_id": "a", "params": {**chat(), "max_tokens": 5, "system": _SYSTEM}}),
        1,
    ),
    "bedrock": ("b.jsonl", text_of({"recordId": "1", "modelInput": {**chat(), "anthropic_version": "x"}}), 1),
    "mistral": ("m.jsonl", text_of({"custom_id": "0", "body": chat()}, {"custom_id": "1", "body": chat()}), 2),
    "an array": ("array.json", json.dumps(numbered(3), indent=1), 3),
    "an array on one line": ("array.jsonl", json.dumps(numbered(3)), 3),
    "pretty-printed": ("pretty.jsonl", text_of(*numbered(2), indent=4), 2),
    "pretty-printed behind a good line": ("mixed.jsonl", text_of(line("x")) + text_of(line("y"), indent=2), 2),
    "without line ends": ("joined.jsonl", "".join(json.dumps(each) for each in numbered(3)), 3),
    "with commas": ("commas.jsonl", "".join(json.dumps(each) + ",\n" for each in numbered(3)), 3),
    "repeated ids": ("twice.jsonl", text_of(*numbered(2), *numbered(2)), 4),
    "a list in one object": ("list.json", json.dumps({"requests": numbered(3)}), 3),
    "rows of data": ("rows.jsonl", text_of({"id": 1, "question": "Why?"}, {"id": 2, "question": "How?"}), 2),
    "rows with a strange key": ("odd.jsonl", text_of({"the question's text": 'Why "?'}), 1),
    "Alpaca's rows": ("alpaca.jsonl", text_of({"instruction": "Translate", "input": "Hello", "output": "x"}), 1),
    "a CSV file": ("q.csv", 'id,question\n1,Why?\n2,"How, and\nwhen?"\n', 2),
    "a TSV file": ("my q.tsv", "id\tQuestion\n1\tWhy?\n", 1),
    "a CSV file by its content": ("table.txt", "\ufeffid;text\n1;Why?\n2;How?\n", 2),
    "a compressed CSV file": ("q.csv.gz", gzip.compress(b"question\nWhy?\n"), 1),
    "UTF-16": ("wide.jsonl", text_of(line("a")).encode("utf-16"), 1),
    "UTF-32": ("wider.jsonl", text_of(line("a")).encode("utf-32"), 1),
}


def written(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("name", "content", "requests"), CONVERTED.values(), ids=CONVERTED)
def test_the_named_command_makes_job_lines_of_it(name: str, content: str | bytes, requests: int) -> None:
    path = written(name, content)
    refused = batcher("submit", path, *_LOCAL)
    assert refused.code == 2
    assert not Path("batcher.db").exists()
    hints = [text for text in refused.err.splitlines() if text.startswith("  → ")]
    command = _COMMAND.search("\n".join(hints))
    assert command is not None, refused.err
    needed = [name for name in ("jq", "gzip", "sed", "iconv", "python3") if f"{name} -" in command[1]]
    assert needed
    if not all(map(shutil.which, needed)):
        pytest.skip(f"{needed} is not installed")
    subprocess.run(command[1], shell=True, check=True)  # noqa: S602 - the advice as a person would paste it
    lines = sorted(Path().glob("*.lines.jsonl"))
    assert len(lines) == 1
    checked = batcher("check", lines[0], "--model", "m", "--json").json
    assert (checked["valid"], checked["invalid"]) == (requests, 0), checked


@pytest.mark.parametrize(("name", "content", "requests"), CONVERTED.values(), ids=CONVERTED)
def test_check_and_json_name_the_form_once(name: str, content: str | bytes, requests: int) -> None:
    path = written(name, content)
    shown = batcher("check", path)
    assert (shown.code, (shown.out + shown.err).count("→") >= 1) == (2, True)
    submitted = batcher("submit", path, *_LOCAL, "--json")
    error = submitted.json["error"]
    assert (submitted.code, error["hint"] is not None) == (2, True)
    if name != "twice.jsonl":
        (form,) = error["forms"]
        assert form["count"] >= 1
        assert form["hint"] in error["hint"]
    assert requests > 0


ONLY_NAMED: dict[str, tuple[str, str | bytes, str]] = {
    "results": (
        "r.jsonl",
        text_of({"custom_id": "a", "response": {"status_code": 200, "body": {}}}),
        _RESULTS,
    ),
    "Anthropic's results": (
        "r.jsonl",
        text_of({"custom_id": "a", "result": {"type": "errored"}}),
        _RESULTS,
    ),
    "Gemini's results": (
        "r.jsonl",
        text_of({"key": "a", "request": {}, "response": {"candidates": []}}),
        _RESULTS,
    ),
    "Bedrock's results": (
        "r.jsonl",
        text_of({"recordId": "1", "modelInput": {}, "modelOutput": {}}),
        _RESULTS,
    ),
    "the cookbook's results": (
        "r.jsonl",
        text_of(*([{"model": "m", "input": "x"}, {"object": "list", "data": []}] for _ in range(3))),
        _RESULTS,
    ),
    "a Git LFS pointer": (
        "p.jsonl",
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 5\n",
        "git lfs pull",
    ),
    "a web page": ("page.jsonl", "<!DOCTYPE html>\n<html></html>\n", "is a web page"),
    "a Parquet file": ("t.parquet", b"PAR1\0\0", "is a Parquet or Arrow file"),
    "a bzip2 file": ("j.jsonl.bz2", b"BZh91AY", "is a compressed file"),
    "JSON-RPC": (
        "j.jsonl",
        text_of({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {}}),
        "(keys: jsonrpc, id",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), ONLY_NAMED.values(), ids=ONLY_NAMED)
def test_what_cannot_be_converted_is_named_once(name: str, content: str | bytes, words: str) -> None:
    path = written(name, content)
    for command in (("check", path), ("submit", path, *_LOCAL), ("run", path, "--skip-invalid", *_LOCAL)):
        called = batcher(*command)
        assert (called.code, (called.out + called.err).count(words)) == (2, 1), called
    assert not Path("batcher.db").exists()


_PACKED = [("job.jsonl", "is a zip archive"), ("xl/workbook.xml", "is a spreadsheet")]


@pytest.mark.parametrize(("member", "words"), _PACKED)
def test_a_zip_archive_and_a_spreadsheet_are_told_apart(member: str, words: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, "x")
    assert words in batcher("check", written("j.jsonl", packed.getvalue())).err


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_merge_conflict_is_never_passed_over(end: str) -> None:
    one, two, three = (json.dumps(line(name)) for name in "abc")
    both = [one, "<<<<<<< HEAD", two, "||||||| base", "=======", three, ">>>>>>> 3f2c1ab (add rows)"]
    path = written("j.jsonl", end.join(both))
    for command in (("check", path), ("run", path, "--simulate", "--skip-invalid")):
        called = batcher(*command)
        said = called.out + called.err
        assert (called.code, said.count("a conflict marker of Git")) == (2, 1)
        assert "--skip-invalid" not in said
    assert batcher("submit", job_file(Path("k.jsonl"), line("a")), "--simulate").code == 0
    assert batcher("submit", path, "--simulate", "--skip-invalid").code == 2
    assert len(jobs_now()) == 1


def test_many_lines_with_one_reason_are_one_line_with_its_range() -> None:
    path = job_file(Path("j.jsonl"), *({"messages": [{"role": "user", "content": str(n)}]} for n in range(100)))
    for called in (batcher("check", path), batcher("submit", path, *_LOCAL)):
        said = called.out + called.err
        assert "j.jsonl:1-100: `model` is missing (100 lines)" in said
        assert said.count("`model` is missing") == 1
        assert "batcher run j.jsonl --model MODEL" in said
        assert "--no-body-checks" in said
    assert len(batcher("submit", path, *_LOCAL, "--json").json["error"]["lines"]) == 100
    path = job_file(Path("k.jsonl"), *(each for n in range(5) for each in (line(f"row-{n}"), '{"messages": [')))
    shown = batcher("check", path).out
    assert "k.jsonl:2-10: not JSON: it ends too early; a request must be complete on one line (5 of these" in shown


def test_model_fills_in_a_missing_one_and_replaces_a_placeholder() -> None:
    messages = [{"role": "user", "content": "x"}]
    path = job_file(
        Path("j.jsonl"),
        {"messages": messages},
        {"messages": messages, "model": None},
        {"messages": messages, "model": "{{modelName}}"},
        {"messages": messages, "model": "its-own"},
        line("m", {"input": "x"}, url="/v1/moderations"),
        line("p", {"prompt": {"id": "pmpt_1"}}, url="/v1/responses"),
    )
    checked = batcher("check", path, "--model", "named", "--json").json
    found = {(each["model"], each["url"]): each["requests"] for each in checked["models"]}
    assert found == {
        ("named", "/v1/chat/completions"): 3,
        ("its-own", "/v1/chat/completions"): 1,
        ("", "/v1/moderations"): 1,
        ("", "/v1/responses"): 1,
    }
    assert batcher("submit", path, "--simulate", "--model", "one").out.splitlines()[0] == "1"
    assert batcher("submit", path, "--simulate", "--model", "two").out.splitlines()[0] == "2"
    assert batcher("submit", path, "--simulate", "--model", "one").out.splitlines()[0] == "1"
    for wrong in ("MODEL", "{{modelName}}", " "):
        assert batcher("check", path, "--model", wrong).code == 2


def test_no_body_checks_leaves_the_judgement_to_the_endpoint() -> None:
    odd = {"messages": "hi", "max_tokens": 100.0}
    path = job_file(Path("j.jsonl"), line("a", odd), line("b", chat(stream=True)))
    checked = batcher("check", path, "--no-body-checks", "--json").json
    assert [error["line"] for error in checked["errors"]] == [2]
    path = job_file(Path("k.jsonl"), line("a", {"messages": "hi"}))
    assert batcher("submit", path, "--simulate", "--no-body-checks").code == 0


#: What a compatible server documents as valid, and OpenAI refuses: only `max_tokens` -1.
VALID: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 0, "echo": True}),
    ("/v1/completions", {"model": "m", "prompt_embeds": "AAAA"}),
    ("/v1/responses", {"prompt": {"id": "pmpt_1"}, "input": "x"}),
    ("/v1/embeddings", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    ("/v2/rerank", {"query": "a", "documents": ["b"]}),
    ("/score", {"text_1": "a", "text_2": "b"}),
    ("/v1/chat/completions", {**chat(), "top_p": None, "max_tokens": None, "response_format": None}),
]


def test_what_an_endpoint_documents_as_valid_is_accepted() -> None:
    rows = [line(str(n), body, url=url) for n, (url, body) in enumerate(VALID)]
    assert batcher("check", job_file(Path("j.jsonl"), *rows)).code == 0
    path = job_file(Path("k.jsonl"), line("a", chat(max_tokens=-1)))
    assert batcher("check", path).code == 2
    assert batcher("check", path, *_LOCAL).code == 0


@pytest.mark.parametrize("end", [b"\x1a", b"\n\x1a", b"\r\n\x1a\r\n", b"\n\x1a\x1a\x1a"])
def test_a_ctrl_z_at_the_end_is_no_line(end: bytes) -> None:
    path = written("j.jsonl", json.dumps(line("a")).encode() + end)
    assert batcher("check", path, "--json").json["lines"] == 1


NOTES = [
    ("`max_tokens` stands beside `body` in 2 lines", [{**line(n), "max_tokens": 64} for n in "ab"]),
    (
        "`metadata` is sent with 1 line",
        [line("a", {"model": "m", "input": "x", "metadata": {}}, url="/v1/embeddings")],
    ),
    ("the answer format has no `type` in 1 line", [line("a", chat(response_format={"name": "x", "schema": {}}))]),
    (
        "the answer format has no `type` in 1 line",
        [line("a", {"model": "m", "input": "x", "text": {"format": {"schema": {}}}}, url="/v1/responses")],
    ),
    (
        f"1 line names the model {_TEMPLATE}",
        [line("a", chat(model=_TEMPLATE))],
    ),
    ("1 line names the model <your model>", [line("a", chat(model="<your model>"))]),
    (
        "the last message is the assistant's in 2 lines",
        [
            line(n, {"model": "m", "messages": [*chat()["messages"], {"role": "assistant", "content": n}]})
            for n in "ab"
        ],
    ),
]


@pytest.mark.parametrize(("words", "rows"), NOTES, ids=[words for words, _ in NOTES])
def test_what_is_probably_not_meant_is_noted_and_runs(words: str, rows: list[dict[str, object]]) -> None:
    path = job_file(Path("j.jsonl"), *rows)
    checked = batcher("check", path, "--json")
    assert (checked.code, [note for note in checked.json["notes"] if words in note] != []) == (0, True)
    assert f"note: {words}" in batcher("check", path).out
    assert f"note: {words}" in batcher("submit", path, "--simulate").err


def test_nothing_is_noted_of_an_ordinary_file() -> None:
    models = ("gpt-4o-mini", "model", "my-model", "mistral-7b", "models/gemini-2.5", "placeholder-free", "TODO-7b")
    path = job_file(Path("j.jsonl"), *(line(name, chat(model=name)) for name in models))
    assert batcher("check", path, "--json").json["notes"] == []


@pytest.mark.parametrize("name", ["answers.csv", "answers.CSV", "a.tsv", "a.xlsx", "a.parquet", "a.csv.gz"])
def test_results_are_not_written_under_the_name_of_a_table(name: str) -> None:
    path = job_file(Path("j.jsonl"), line("a"))
    called = batcher("run", path, "--simulate", "-o", name)
    assert (called.code, Path("batcher.db").exists(), Path(name).exists()) == (2, False, False)
    assert ".jsonl" in called.err
    assert batcher("run", path, "--simulate", "-o", "answers.jsonl").code == 0
    assert batcher("results", "1", "-o", name).code == 2


@pytest.mark.parametrize(
    "args", [["missing.jsonl", "--simulate"], ["good.jsonl"], ["."], ["empty.jsonl", "--simulate"]]
)
def test_what_cannot_be_stored_leaves_no_store_behind(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    job_file(Path("good.jsonl"), line("a"))
    written("empty.jsonl", "\n \n")
    for command in ("run", "submit"):
        assert batcher(command, *args).code == 2
    assert not list(Path().glob("batcher.db*"))
    assert batcher("submit", "-", "--simulate", stdin="id,question\n1,Why?\n").code == 2
    assert not list(Path().glob("batcher.db*"))


def test_the_commands_of_the_page_work() -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    written("job.jsonl", text_of({"custom_id": "0", "body": chat()}))
    written("rows.jsonl", text_of({"question": "Why?", "text": "Hello"}))
    written("rows.csv", "question\nWhy?\n")
    written(
        "job.results.jsonl", text_of({"custom_id": "a", "response": {"body": {"choices": [{"message": chat()}]}}})
    )
    page = (Path(__file__).parents[2] / "docs/other-forms.md").read_text(encoding="utf-8")
    fences = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [
        command for fence in fences for command in fence.splitlines() if not re.match("batcher|.*…", command)
    ]
    assert len(commands) == 5
    for command in commands:
        subprocess.run(command, shell=True, check=True)  # noqa: S602 - as a person would paste it
        if command.endswith(".jsonl"):
            assert batcher("check", command.split()[-1], "--model", "m").code == 0

"""Every advice that holds a command is pasted: it parses, and in a real store it works or is refused unharmed."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from batcher.cli import cli
from batcher.domain.messages import Cause
from batcher.policy.output import advice as advice_module
from batcher.policy.output.advice import Means, advice
from tests.support.commands import batcher, chat, job_file, line
from tests.support.messages import words
from tests.support.programs import jobs_now, provider, rows, run_on

PACKAGE = Path(advice_module.__file__).parents[2]
COMMAND = re.compile(r"`batcher ([^`]+)`")
#: What stands for a value that only the program knows when it runs.
SAMPLES = {
    "{which}": "--job 1 --code timeout",
    "{export}": "--job 1",
    "{job}": "1",
    "{jobs:spaced}": " 1",
    "{endpoint:spaced}": " --simulate",
    "{model:shell}": "m",
    "{maximum}": "max_tokens=5",
    "{edit}": "--unset seed",
    "{request}": "1",
    "{command}": "resume",
    "{file:shell}": "out.jsonl",
}


def texts_of(tree: ast.AST) -> Iterator[str]:
    """The string constants and f-strings of a module; a value in an f-string is a number. No docstrings."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {ast.get_docstring(node, clean=False) for node in nodes}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in docstrings:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "1"
                for part in node.values
            )


def commands_in(text: str) -> list[str]:
    for name, value in SAMPLES.items():
        text = text.replace(name, value)
    return COMMAND.findall(text)


def all_commands() -> list[str]:
    found: dict[str, None] = {}
    for module in sorted(PACKAGE.rglob("*.py")):
        for text in texts_of(ast.parse(module.read_text(encoding="utf-8"))):
            if not text.startswith("`batcher") or "\n" not in text:
                found.update(dict.fromkeys(commands_in(text)))
    return [
        each
        for each in found
        # "1" stands for a name that only the program knows; "(?" begins a pattern.
        if not each.startswith(("-", "[", "(?", "COMMAND", "1 "))
        and not {"--help", "[^"} & {*re.findall(r"--help|\[\^", each)}
    ]


def parsed(command: str) -> None:
    """Parse a command as the program does, without running it. Raises click.ClickException."""
    words = shlex.split(command.partition(" | ")[0])
    found: Any = cli
    context = click.Context(cli, info_name="batcher", **cli.context_settings)
    while isinstance(found, click.Group) and words:
        name = words.pop(0)
        found = found.get_command(context, name)
        assert found is not None, command
    if not isinstance(found, click.Group) and (words or not needs_more(found)):
        found.make_context(found.name, _numbers(words), parent=context)


def needs_more(command: click.Command) -> bool:
    """Whether it is only named, without what it must be given: `batcher run` in a sentence."""
    return any(each.required for each in command.params)


def _numbers(words: list[str]) -> list[str]:
    return ["1" if word in {"REQUEST", "JOB", "N"} else word for word in words]


@pytest.mark.parametrize("command", all_commands())
def test_a_command_in_a_text_of_the_program_parses(command: str) -> None:
    parsed(command)


def test_commands_are_found_in_texts() -> None:
    assert "status" in all_commands()
    with pytest.raises(click.ClickException):
        parsed("resume --no-such-flag")


@pytest.fixture(autouse=True)
def in_folder(folder: Path) -> Path:
    return folder


def dead(code: str, status: int = 400, message: str = "no", **more: Any) -> dict[str, Any]:
    problem = {"status": status, "code": code, "message": message, "fail_times": 1}
    return line(code, chat(code, metadata={"simulate": problem}, **more))


CODES = ("context_length_exceeded", "content_filter", "weird", "invalid_request_error")


def pasted(text: str) -> list[tuple[str, int, str]]:
    """Run every command of an advice, in order; each with its exit code and what it said on stderr."""
    ran = []
    for command in COMMAND.findall(text):
        called = batcher(*(shlex.split(command)))
        ran.append((command, called.code, called.err))
    return ran


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shown_by", ["summary", "list", "show"])
def test_the_advice_about_a_dead_letter_can_be_pasted(code: str, shown_by: str) -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2), dead(code), dead("other")))
        args = {"summary": ["summary", "--json"], "list": ["list", "--json"], "show": ["show", "3", "--json"]}
        document = batcher("dlq", *args[shown_by]).json
        entries = [document] if shown_by == "show" else document["data"]
        text = next(entry["advice"] for entry in entries if entry["code"] == code)
        before = server.requests
        for command, exit_code, said in pasted(text):
            # What only a person knows is refused; all else works.
            is_open = re.search(r"=(N|MODEL|VALUE)\b", command) is not None
            done = exit_code in ({2} if is_open else {0, 2} if "not among" in said else {0})
            assert done, (command, exit_code, said)
            assert not is_open or "stands for what you choose" in said
        assert all(job["lanes"][0]["endpoint"] == server.url for job in jobs_now())
        assert server.requests >= before


def test_export_and_run_carry_the_endpoint_and_the_key_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    with provider(api_key="sk-mine-0123456789") as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2), dead("content_filter")), "--api-key-env", "MINE")
        text = batcher("dlq", "summary", "--json").json["data"][0]["advice"]
        assert f"run fixed.jsonl --new --base-url {server.url} --api-key-env MINE" in text
        said = batcher("dlq", "export", "-o", "e.jsonl").err
        assert f"batcher run e.jsonl --new --base-url {server.url} --api-key-env MINE" in said
    simulated = dead("content_filter")
    batcher("run", job_file(Path("s.jsonl"), simulated), "--simulate")
    assert "batcher run s2.jsonl --new --simulate" in batcher("dlq", "export", "--job", 2, "-o", "s2.jsonl").err


def test_a_renamed_parameter_is_moved_by_the_advice() -> None:
    message = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    with provider() as server:
        run_on(
            server,
            job_file(Path("j.jsonl"), *rows(2), dead("unsupported_parameter", message=message, max_tokens=9)),
        )
        text = batcher("dlq", "summary", "--json").json["data"][0]["advice"]
        assert "--move max_tokens=max_completion_tokens" in text
        command = next(each for each in COMMAND.findall(text) if "--move" in each)
        assert batcher(*shlex.split(command)).code == 0
        assert batcher("resume", 1).code in {0, 3}
        assert "max_completion_tokens" in str(batcher("dlq", "show", 3, "--json").json["body"])


def test_another_model_is_one_that_has_answered_there() -> None:
    with provider(models=("gpt-4o-mini", "other")) as server:
        wrong = chat("x", model="gpt-4o-mni")
        good = [line(f"g{n}", chat(f"g{n}", model=model)) for n, model in enumerate(("gpt-4o-mini", "other"))]
        bad = line("b", {**wrong, "metadata": {"simulate": {"status": 404, "code": "model_not_found"}}})
        run_on(server, job_file(Path("j.jsonl"), *good, bad))
        found = batcher("dlq", "summary", "--json").json["data"]
        for cause in found:
            assert "--set model=gpt-4o-mini`" in cause["advice"]


def test_a_key_that_no_row_has_is_not_added_without_a_word() -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2), dead("weird", temperature=1)))
        called = batcher("dlq", "retry", "--all", "--set", "mudel=m")
        assert called.code == 2
        assert "No row has `mudel`; did you mean `model`? Add it to the row?" in called.err
        assert "--yes" in called.err
        assert batcher("dlq", "list", "--json").json["total"] == 1
        assert batcher("dlq", "retry", "--all", "--set", "temperature=0").code == 0
        batcher("resume")
        run_on(server, job_file(Path("k.jsonl"), *rows(2), dead("weird2")))
        assert batcher("dlq", "retry", "--all", "--set", "top_p=0.5", "--yes").code == 0


@pytest.mark.parametrize("edit", ["model=MODEL", "max_tokens=N", "PATH=VALUE", "temperature=VALUE"])
def test_a_word_of_an_advice_is_never_sent_as_a_value(edit: str) -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2), dead("weird")))
        called = batcher("dlq", "retry", "--all", "--set", edit)
        assert (called.code, "stands for what you choose" in called.err) == (2, True)
        assert batcher("dlq", "list", "--json").json["total"] == 1


def test_every_text_of_advice_is_filled() -> None:
    means = Means(
        which=Cause.SELECTION(job=1),
        export=Cause.SELECTION(request=17),
        request="17",
        jobs="1",
        endpoint=Cause.ENDPOINT(is_simulated=True),
        model="m",
        edit=Cause.EDIT_UNSET(path="seed"),
    )
    for code in (*advice_module._BY_CODE, "a_code_of_tomorrow"):
        text = words(advice(code, "permanent", 400, means=means))
        assert "{" not in text
        for command in COMMAND.findall(text):
            parsed(command)


def test_advice_reaches_the_store_that_was_named() -> None:
    with provider() as server:
        run = ("run", job_file(Path("j.jsonl"), *rows(2), dead("weird")), "--base-url", server.url)
        called = batcher(*run, "--db", "my store.db")
        assert "next: batcher dlq summary --job 1 --db 'my store.db'" in called.out
        said = batcher("dlq", "retry", "--all", "--db", "my store.db").out
        assert "next: batcher resume 1 --db 'my store.db'" in said
        shown = batcher("status", 9, "--db", "my store.db").err
        assert "`batcher status --db 'my store.db'`" in shown
        assert batcher("--db", "my store.db", "resume", 1).code == 0
    assert not Path("batcher.db").exists()

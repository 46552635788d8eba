"""What is often typed wrong, and what the system refuses: said in its own words, with a command that works."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from unicodedata import normalize

import pytest

from batcher.cli.terminal.misuse import refusal_of_the_system
from batcher.store.sqlite import connections
from tests.support.commands import batcher, job_file
from tests.support.messages import words
from tests.support.programs import jobs_now, provider, rows, run_on, running

pytestmark = pytest.mark.usefixtures("folder")


def advice_of(said: str) -> str:
    """The command between the backticks of the hint."""
    return said.split("`")[1]


def test_several_files_are_answered_with_a_loop_that_works() -> None:
    names = ["a.jsonl", "b c.jsonl", "-d.jsonl"]
    for name in names:
        job_file(Path(name), *rows(2, name))
    called = batcher("run", "a.jsonl", "b c.jsonl", "./-d.jsonl", "-o", "out.jsonl", "--simulate")
    assert called.code == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", advice_of(called.err)], env={**os.environ, "PATH": path}, check=True)
    assert [job["state"] for job in jobs_now()] == ["completed"] * 3
    assert Path("b c.simulated.results.jsonl").exists()


def test_many_files_are_not_all_named() -> None:
    files = [job_file(Path(f"{number}.jsonl"), *rows(1)) for number in range(20)]
    called = batcher("check", *files)
    assert (called.code, called.err.count(".jsonl")) == (2, 8)
    assert called.err.startswith("error: batcher check takes one job file, not 20\n")


@pytest.mark.parametrize("args", [["run", "a.jsonl", "none.jsonl"], ["status", "1", "2"], ["run"]])
def test_other_wrong_use_is_answered_with_help(args: list[str]) -> None:
    job_file(Path("a.jsonl"), *rows(1))
    called = batcher(*args)
    assert (called.code, advice_of(called.err)) == (2, f"batcher {args[0]} --help")


def test_a_file_in_the_place_of_a_command_is_answered_with_run() -> None:
    job_file(Path("my rows.jsonl"), *rows(1))
    called = batcher("my rows.jsonl")
    assert (called.code, advice_of(called.err)) == (2, "batcher run 'my rows.jsonl'")


def test_a_command_that_is_not_known_repeats_no_option_of_the_one_before() -> None:
    job_file(Path("j.jsonl"), *rows(1))
    batcher("status", "--db", "other.db")
    assert advice_of(batcher("j.jsonl").err) == "batcher run j.jsonl"


def test_a_key_log_that_cannot_be_written_is_named() -> None:
    file = job_file(Path("j.jsonl"), *rows(1))
    with running("run", file, "--base-url", "https://127.0.0.1:1/v1", SSLKEYLOGFILE="/none/keys") as program:
        code, _, said = program.end()
    assert code == 2, said
    assert "error: SSLKEYLOGFILE names /none/keys, which cannot be written: No such file" in said


def test_a_system_without_threads_is_named() -> None:
    found = refusal_of_the_system(RuntimeError("can't start new thread"))
    assert found is not None
    assert "ulimit -u" in words(found.hint)
    assert refusal_of_the_system(RuntimeError("another")) is None


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("my row.jsonl", "did you mean 'my rows.jsonl'?"),
        (normalize("NFC", "über.jsonl"), "a file whose name only looks the same is there"),
        ("another.jsonl", "check the path"),
        ("nowhere/my rows.jsonl", "check the path"),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_the_one_that_was_meant(typed: str, hint: str) -> None:
    for name in ("my rows.jsonl", normalize("NFD", "über.jsonl")):
        job_file(Path(name), *rows(1))
    called = batcher("check", typed)
    assert (called.code, hint in called.err) == (2, True), called


@pytest.mark.parametrize(
    ("name", "environ", "hint"),
    [
        ("é.jsonl", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "`export LC_ALL=C.UTF-8`"),
        (b"\xe9.jsonl", {}, "rename it"),
    ],
)
def test_a_name_that_python_cannot_read_is_the_locales_or_the_files(
    name: str | bytes, environ: dict[str, str], hint: str
) -> None:
    Path(os.fsdecode(name)).touch()
    with running("check", os.fsdecode(name), **environ) as program:
        code, _, said = program.end()
    assert (code, hint in said) == (2, True), said


def test_settings_behind_a_broken_link_are_not_left_out_without_a_word() -> None:
    Path("batcher.toml").symlink_to("mounted/settings.toml")
    file = job_file(Path("j.jsonl"), *rows(1))
    called = batcher("run", file, "--simulate")
    assert (called.code, "batcher.toml is a link to a file that does not exist" in called.err) == (2, True), called


def test_an_env_file_is_named_with_the_command_that_reads_it() -> None:
    file = job_file(Path("j.jsonl"), *rows(1))
    assert "set -a" not in batcher("run", file).err
    Path(".env").write_text("# keys\nexport OPENAI_API_KEY='sk-hunter2hunter2'\nOTHER=1\n")
    called = batcher("run", file)
    assert "hunter2" not in called.err
    shown = subprocess.check_output(["sh", "-c", f'{advice_of(called.err)}; echo "$OPENAI_API_KEY"'], text=True)
    assert (called.code, shown) == (2, "sk-hunter2hunter2\n")
    assert "set -a" not in batcher("run", file, "--api-key-env", "ANOTHER").err


@pytest.mark.parametrize("command", [["status"], ["run", "j.jsonl", "--simulate"], ["db", "check"]])
@pytest.mark.parametrize("store", ["/dev/null", "a.pipe"])
def test_a_store_is_a_file(command: list[str], store: str) -> None:
    job_file(Path("j.jsonl"), *rows(1))
    os.mkfifo("a.pipe")
    called = batcher(*command, "--db", store)
    assert (called.code, "is a device or a pipe, not a store" in called.err) == (1, True), called


@pytest.mark.parametrize("largest", [4096, resource.RLIM_INFINITY])
def test_a_limit_of_file_size_is_named(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (largest, largest))
    advice = words(connections.advice("disk I/O error"))
    assert ("ulimit -f" in advice, "4,096" in advice) == (largest == 4096, largest == 4096)


def test_a_proxy_before_this_machine_is_named_with_what_avoids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), *rows(1))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for name in ("http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with provider() as server:
        called = run_on(server, file, "--max-wait", 1)
        assert (called.code, called.err.count("is reached through the proxy of HTTP_PROXY")) == (4, 1), called
        monkeypatch.setenv(*advice_of(called.err).removeprefix("export ").split("="))
        assert run_on(server, file).code == 0

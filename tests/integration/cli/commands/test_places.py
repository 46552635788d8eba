"""Where results and errors go: what is replaced, kept, refused and compressed."""

import gzip
import json
import re
import shlex
from pathlib import Path

import pytest
import zstandard

from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import ANSWER, Says, endpoint, error
from tests.support.jobs import rows, run_job
from tests.support.programs import provider, rows_of, run_on

pytestmark = pytest.mark.usefixtures("folder")


def dead(custom_id):
    return line(custom_id, chat(custom_id, metadata={"simulate": {"code": "context_length_exceeded"}}))


def ids(path):
    return [row["custom_id"] for row in rows_of(path)]


@pytest.mark.parametrize("name", ["data.results.jsonl", "data.errors.jsonl"])
@pytest.mark.parametrize("text", ["mine\n", '{"custom_id": "a"}\n', "\n"])
def test_a_persons_own_file_stays_and_nothing_is_sent(name, text):
    Path(name).write_text(text)
    file = job_file(Path("data.jsonl"), line("a"))
    with provider() as server:
        called = run_on(server, file)
    assert (called.code, called.out) == (2, "")
    assert name in called.err
    assert "-o" in called.err
    assert Path(name).read_text() == text
    assert not Path("data.results.jsonl").exists() or name == "data.results.jsonl"


@pytest.mark.parametrize("of", ["data.results.jsonl", "data.errors.jsonl"])
def test_a_jobs_file_that_a_person_changed_stays(of):
    file = job_file(Path("data.jsonl"), line("a"), dead("b"))
    with provider() as server:
        assert run_on(server, file).code == 3
        with Path(of).open("a") as changed:
            changed.write('{"note": "checked"}\n')
        before = Path(of).read_bytes()
        assert run_on(server, file).code == 2
        assert batcher("results", "1").code == 2
    assert Path(of).read_bytes() == before


@pytest.mark.parametrize("command", ["run", "submit"])
def test_the_job_file_of_another_job_is_no_place_for_errors(command):
    other = job_file(Path("data.errors.jsonl"), line("x"))
    before = other.read_bytes()
    with provider() as server:
        assert run_on(server, other).code == 0
        file = job_file(Path("data.jsonl"), line("a"))
        called = batcher(command, file, "--base-url", server.url)
    assert called.code == 2
    assert "is the job file of job 1" in called.err
    assert other.read_bytes() == before


def test_a_link_is_neither_followed_nor_replaced():
    Path("theirs").write_text("theirs")
    Path("data.errors.jsonl").symlink_to("theirs")
    with provider() as server:
        assert run_on(server, job_file(Path("data.jsonl"), line("a"))).code == 2
    assert Path("data.errors.jsonl").is_symlink()
    assert Path("theirs").read_text() == "theirs"


def test_results_of_an_earlier_version_of_the_file_are_kept():
    with provider() as server:
        for number in range(3):
            file = job_file(Path("data.jsonl"), line(f"a{number}"), dead(f"b{number}"))
            called = run_on(server, file)
    assert "kept      data.results.2.jsonl" in called.out
    assert [ids(f"data.results{number}.jsonl") for number in (".1", ".2", "")] == [["a0"], ["a1"], ["a2"]]
    assert [ids(f"data.errors{number}.jsonl") for number in (".1", ".2", "")] == [["b0"], ["b1"], ["b2"]]
    assert batcher("results", "1").code == 0
    assert ids("data.results.jsonl") == ["a0"]
    assert ids("data.results.3.jsonl") == ["a2"]
    # Its own results are kept already.
    batcher("results", "3")
    assert not Path("data.results.4.jsonl").exists()


def test_an_earlier_errors_file_does_not_stay_beside_results_without_errors():
    with provider() as server:
        run_on(server, job_file(Path("data.jsonl"), line("a"), dead("b")))
        assert run_on(server, job_file(Path("data.jsonl"), line("c"))).code == 0
    assert not Path("data.errors.jsonl").exists()
    assert ids("data.errors.1.jsonl") == ["b"]


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_kept_is_said_in_every_form(as_json):
    with provider() as server:
        run_on(server, job_file(Path("data.jsonl"), line("a")))
        called = run_on(server, job_file(Path("data.jsonl"), line("c")), "-q", *(["--json"] if as_json else []))
    assert "data.results.1.jsonl" in (called.err if as_json else called.out)


@pytest.mark.parametrize(
    ("ending", "opened"),
    [(".gz", gzip.open), (".zst", zstandard.open), (".GZ", gzip.open)],
)
def test_an_output_is_compressed_by_its_name(ending, opened):
    file = job_file(Path("data.jsonl"), line("a"), dead("b"))
    with provider() as server:
        assert run_on(server, file, "-o", f"out.jsonl{ending}").code == 3
    with opened(f"out.jsonl{ending}", "rt") as results, opened(f"out.errors.jsonl{ending}", "rt") as errors:
        assert [json.loads(each)["custom_id"] for each in results] == ["a"]
        assert [json.loads(each)["custom_id"] for each in errors] == ["b"]
    first = Path(f"out.jsonl{ending}").read_bytes()
    assert batcher("results", "1").code == 0
    assert Path(f"out.jsonl{ending}").read_bytes() == first
    assert batcher("results", "1", "-o", f"again.jsonl{ending}").code == 0
    assert Path(f"again.jsonl{ending}").read_bytes() == first


def test_a_cancelled_row_is_in_the_errors_file():
    run_job(Path.cwd(), rows(answered=1, dead=1, pending=2), name="data")
    assert batcher("cancel", "1").code == 0
    assert batcher("results", "1", "-o", "out.jsonl").code == 0
    found = rows_of("out.errors.jsonl")
    assert [(row["custom_id"], row["error"]["code"], row["error"]["kind"]) for row in found] == [
        ("bad-0", "bad_request", "permanent"),
        ("open-0", "cancelled", "cancelled"),
        ("open-1", "cancelled", "cancelled"),
    ]
    assert found[1]["response"] is None


def one_misspelt(came):
    model = came.json["model"]
    if model != "good":
        return Says(404, error(f"The model `{model}` does not exist", code="model_not_found"))
    return Says(200, ANSWER)


def test_a_misspelt_model_in_one_row_holds_up_no_other_and_the_advice_can_be_pasted():
    def lines(model):
        return [line(f"r{n}", chat(f"q{n}", model=model if n == 3 else "good")) for n in range(8)]

    file = job_file(Path("data.jsonl"), *lines("goood"))
    with endpoint(one_misspelt) as server:
        called = batcher("run", file, "-q", "--base-url", server.url)
        assert called.code == 4
        assert ids("data.results.jsonl") == ["r0", "r1", "r2", "r4", "r5", "r6", "r7"]
        assert not Path("data.errors.jsonl").exists()
        (again_command,) = [each.strip() for each in called.out.splitlines() if each.startswith("    batcher ")]
        # Whatever was printed, on either stream, the command that gives the rest up is named once.
        (cancel_command,) = re.findall(r"`(batcher cancel [^`]+)`", called.out + called.err)
        sent = len(server.came)
        job_file(file, *lines("good"))
        again = batcher(*shlex.split(again_command)[1:])
        assert again.code == 0
        assert len(ids("data.results.jsonl")) == 8
        assert len(server.came) == sent + 1
        assert batcher(*shlex.split(cancel_command)[1:]).code == 0
    assert batcher("results", "1", "-o", "old.jsonl").code == 0
    assert ids("old.errors.jsonl") == ["r3"]

"""`batcher check`: a job file looked at; nothing is stored or sent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import provider, run_on


@pytest.fixture
def good(folder):
    return job_file(
        folder / "good.jsonl", *(line(f"row-{n}", chat(f"text {n}", max_tokens=100)) for n in range(4))
    )


def checked(*args):
    return batcher("check", *args, "--json").json


def test_a_good_file_is_counted_and_nothing_is_made(folder, good):
    called = batcher("check", good.name)
    assert (called.code, called.err) == (0, "")
    assert "good.jsonl: 4 lines, 4 valid, 0 invalid" in called.out
    assert list(folder.iterdir()) == [good]


def test_the_json_has_its_keys(good):
    found = checked(good.name)
    assert found == {
        "file": "good.jsonl",
        "lines": 4,
        "valid": 4,
        "invalid": 0,
        "errors": [],
        "forms": [],
        "notes": [],
        "hint": None,
        "models": [
            {
                "model": "m",
                "url": "/v1/chat/completions",
                "requests": 4,
                "sent": 4,
                "input_tokens": found["models"][0]["input_tokens"],
                "output_tokens": 400,
                "output_basis": "maximum",
                "unbounded": 0,
                "expected_each": None,
                "answers_seen": 0,
                "binding": None,
                "seconds": None,
            }
        ],
        "repeats": {"rows": 0, "random": 0},
        "seconds": None,
        "binding": None,
    }
    assert found["models"][0]["input_tokens"] > 4


def test_every_bad_line_is_named_with_its_place_and_reason(folder):
    job_file(
        folder / "bad.jsonl", line("a"), "{not json", "", line("b"), line("a", chat("other")), '{"model": "m"}'
    )
    called = batcher("check", "bad.jsonl")
    assert called.code == 2
    lines = called.out.splitlines()
    assert lines[0].startswith("bad.jsonl:2: ")
    assert lines[1] == 'bad.jsonl:5: custom_id "a" was already used in line 1; each must be unique'
    assert lines[2].startswith("bad.jsonl:6: ")
    assert "bad.jsonl: 5 lines, 2 valid, 3 invalid" in called.out
    assert [error["line"] for error in checked("bad.jsonl")["errors"]] == [2, 5, 6]


def test_it_refuses_what_submit_refuses_in_the_same_words(folder):
    job_file(folder / "bad.jsonl", line("a"), line("a", chat("x")), line("b", {"model": "m"}), "[]", '{"body": 1}')
    refused = batcher("submit", "bad.jsonl", "--simulate", "--json")
    assert refused.code == 2
    assert checked("bad.jsonl")["errors"] == refused.json["error"]["lines"]


def test_the_first_hundred_errors_are_shown_and_all_with_json(folder):
    job_file(folder / "bad.jsonl", *(f"{' ' * n}x" for n in range(130)))
    called = batcher("check", "bad.jsonl")
    assert sum(each.startswith("bad.jsonl:") and "invalid" not in each for each in called.out.splitlines()) == 100
    assert "… and 30 more" in called.out
    assert "130 invalid" in called.out
    assert len(checked("bad.jsonl")["errors"]) == 130


def test_repeated_custom_ids_are_found_over_many_lines(folder):
    lines = [line(f"row-{n}", chat(str(n))) for n in range(6000)]
    lines += [line("row-0", chat("x")), line("row-5999", chat("y"))]
    job_file(folder / "many.jsonl", *lines)
    found = checked("many.jsonl")
    assert (found["valid"], [error["line"] for error in found["errors"]]) == (6000, [6001, 6002])
    assert "already used in line 6000" in found["errors"][1]["reason"]


def test_rows_that_repeat_a_body_are_counted_whatever_their_temperature(folder):
    job_file(
        folder / "same.jsonl",
        *(line(f"random-{n}", chat("same")) for n in range(3)),
        *(line(f"fixed-{n}", chat("same", temperature=0)) for n in range(2)),
    )
    found = checked("same.jsonl")
    assert found["repeats"] == {"rows": 3, "random": 3}
    assert [found["models"][0][name] for name in ("requests", "sent")] == [5, 2]
    out = batcher("check", "same.jsonl").out
    assert "3 rows repeat the body of another row" in out
    assert "`seed`" in out
    assert "--no-cache" in out


def test_where_nothing_is_shared_nothing_repeats(folder):
    (folder / "batcher.toml").write_text('[cache]\nmode = "off"\n')
    job_file(folder / "same.jsonl", line("a", chat("same")), line("b", chat("same")))
    found = checked("same.jsonl")
    assert found["repeats"] == {"rows": 0, "random": 0}
    assert found["models"][0]["sent"] == 2


@pytest.mark.parametrize(
    ("flags", "binding", "seconds"),
    [
        (["--rpm", "2"], "rpm", 120),
        (["--rpm", "m=2"], "rpm", 120),
        (["--rpm", "2", "--tpm", "1M"], "rpm", 120),
        (["--rpm", "1000", "--tpm", "100"], "tpm", None),
        (["--rpm", "other=2"], None, None),
    ],
)
def test_the_limit_that_binds_says_how_long_it_takes(good, flags, binding, seconds):
    found = checked(good.name, *flags)
    model = found["models"][0]
    assert found["binding"] == model["binding"] == binding
    if binding == "tpm":
        seconds = round((model["input_tokens"] + model["output_tokens"]) * 60 / 100, 1)
    assert found["seconds"] == model["seconds"] == seconds


def test_the_limits_of_the_settings_file_count(folder, good):
    (folder / "batcher.toml").write_text("[limits.m]\nrpm = 4\n")
    assert checked(good.name)["seconds"] == 60


def test_models_run_side_by_side_so_the_slowest_says_how_long_it_takes(folder):
    other = {**chat("b"), "model": "slow"}
    job_file(folder / "two.jsonl", line("a"), line("b", other), line("c", {**other, "n": 2}))
    found = checked("two.jsonl", "--rpm", "60", "--rpm", "slow=1")
    assert [(each["model"], each["seconds"]) for each in found["models"]] == [("m", 1.0), ("slow", 120.0)]
    assert found["seconds"] == 120
    assert "at least 2 min 0 s, limited by rpm of slow" in batcher("check", "two.jsonl", "--rpm", "slow=1").out


def test_the_urls_of_one_model_draw_on_the_same_limit(folder):
    embedding = {"model": "m", "input": "text"}
    job_file(folder / "two.jsonl", line("a"), line("b", embedding, url="/v1/embeddings"))
    found = checked("two.jsonl", "--rpm", "1")
    assert [each["seconds"] for each in found["models"]] == [120, 120]
    assert found["seconds"] == 120


def test_bare_bodies_take_their_url_from_the_flag(folder):
    job_file(folder / "bare.jsonl", {"model": "m", "input": "text"})
    assert batcher("check", "bare.jsonl").code == 2
    assert checked("bare.jsonl", "--url", "/v1/embeddings")["models"][0]["url"] == "/v1/embeddings"


@pytest.mark.usefixtures("folder")
def test_stdin_is_a_file_too():
    called = batcher("check", "-", "--json", stdin=json.dumps(line("a")))
    assert (called.code, called.json["file"], called.json["valid"]) == (0, "<stdin>", 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["missing.jsonl"], "does not exist"),
        (["."], "is a folder"),
        (["empty.jsonl"], "holds no request"),
        (["good.jsonl", "--url", "http://elsewhere/v1"], "must be a plain path"),
        (["good.jsonl", "--rpm", "fast"], "--rpm must be a number"),
        ([], "FILE"),
    ],
)
@pytest.mark.usefixtures("good")
def test_wrong_use_is_exit_2_with_a_reason(folder, args, says):
    (folder / "empty.jsonl").write_text("\n\n")
    called = batcher("check", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err


def test_an_escape_in_a_bad_line_does_not_reach_the_terminal(folder):
    job_file(folder / "bad.jsonl", line("\x1b[2J", chat("a")), line("\x1b[2J", chat("b")))
    assert "\x1b" not in batcher("check", "bad.jsonl").out


def test_a_check_loads_no_database(folder):
    job_file(folder / "job.jsonl", line("a"), line("b"))
    program = (
        "import sys\nfrom batcher.cli import main\n"
        "try: main(['check', 'job.jsonl'])\nexcept SystemExit: pass\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'aiohttp') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_without_a_maximum_the_output_is_expected_and_never_at_most(folder):
    free = {"model": "free", "messages": [{"role": "user", "content": "x"}]}
    job_file(folder / "free.jsonl", *(line(f"row-{n}", {**free, "seed": n}) for n in range(10)))
    load = checked("free.jsonl")["models"][0]
    assert (load["output_basis"], load["unbounded"], load["output_tokens"]) == ("guess", 10, 5120)
    out = batcher("check", "free.jsonl", "--tpm", "10k").out
    assert "tokens out (expected)" in out
    assert "10 answers name no maximum, so 512 tokens each is a guess: no answer of free is stored" in out
    assert "time: about" in out
    assert "max)" not in out
    job_file(folder / "mixed.jsonl", line("a", free), line("b", chat(max_tokens=7)), line("c", {**free, "n": 3}))
    out = batcher("check", "mixed.jsonl").out
    assert "at most 7" in out
    assert "expected 2,048" in out
    assert "4 answers name no maximum" in out


def test_what_is_expected_is_the_mean_of_this_stores_answers_of_the_model(folder):
    free = {"model": "free", "messages": [{"role": "user", "content": "x"}]}
    job_file(folder / "free.jsonl", *(line(f"row-{n}", {**free, "seed": n}) for n in range(10)))
    batcher("run", "free.jsonl", "--simulate")
    assert checked("free.jsonl")["models"][0]["output_basis"] == "guess"
    with provider() as server:
        status = run_on(server, "free.jsonl", "--json").json
    load = checked("free.jsonl")["models"][0]
    assert (load["output_basis"], load["answers_seen"]) == ("answers", 10)
    assert load["output_tokens"] == status["tokens"]["output"]
    assert (
        f"{load['expected_each']} tokens each is expected, the mean of 10 answers of free"
        in batcher("check", "free.jsonl").out
    )
    Path("batcher.db").write_text("not a store")
    assert checked("free.jsonl")["models"][0]["output_basis"] == "guess"

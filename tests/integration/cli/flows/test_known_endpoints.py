"""A known file goes on where its job runs; a new job of it goes where the earlier ones went; all of it is said."""

from pathlib import Path

import pytest

import batcher as api
from batcher.domain.errors import ConfigError, UsageError
from tests.support.commands import batcher, job_file, line
from tests.support.programs import jobs_now, provider, rows, rows_of, run_on

pytestmark = pytest.mark.usefixtures("folder")


def endpoints() -> list[str]:
    return [job["lanes"][0]["endpoint"] for job in jobs_now()]


def test_a_known_file_goes_on_where_its_job_runs_and_says_so() -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    with provider() as server:
        batcher("submit", file, "--base-url", server.url)
        called = batcher("run", file)
        assert server.requests == 3
    assert called.code == 0
    assert (
        f"job 1 (j): this file is already stored; the job continues where it stopped, at {server.url}"
        in called.err
    )
    again = batcher("run", file)
    assert (again.code, f"already finished, at {server.url}" in again.err) == (0, True)
    assert endpoints() == [server.url]


def test_several_jobs_of_a_file_are_named_and_nothing_is_sent() -> None:
    file = job_file(Path("j.jsonl"), *rows(2))
    with provider() as first, provider() as second:
        for server in (first, second):
            batcher("submit", file, "--base-url", server.url)
        for more in ((), ("--new",)):
            called = batcher("run", file, *more)
            assert called.code == 2
            assert f"job 1 (j, open) at {first.url}; job 2 (j, open) at {second.url}" in called.err
        assert (first.requests, second.requests) == (0, 0)
        assert batcher("run", file, "--base-url", first.url).code == 0
        assert (first.requests, second.requests) == (2, 0)
    assert len(jobs_now()) == 2


@pytest.mark.parametrize("by", ["OPENAI_BASE_URL", "batcher.toml"])
def test_a_variable_or_a_file_that_names_another_endpoint_is_no_silent_choice(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = job_file(Path("j.jsonl"), *rows(2))
    with provider() as first, provider() as second:
        batcher("submit", file, "--base-url", first.url)
        if by == "batcher.toml":
            Path(by).write_text(f'[provider]\nbase_url = "{second.url}"\n')
        else:
            monkeypatch.setenv(by, second.url)
        called = batcher("run", file)
        assert called.code == 2
        assert f"j.jsonl is job 1 (j), which runs at {first.url}, but {by} names {second.url}" in called.err
        assert (first.requests, second.requests) == (0, 0)
        assert batcher("run", file, "--base-url", second.url).code == 0
        # Now one of its jobs is where the variable says.
        assert batcher("run", file).code == 0
        assert (first.requests, second.requests) == (0, 2)


def test_a_changed_file_and_a_new_job_go_where_the_earlier_job_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    with provider(api_key="sk-mine-0123456789") as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2)), "--api-key-env", "MINE")
        changed = batcher("run", job_file(Path("j.jsonl"), *rows(3)))
        new = batcher("run", "j.jsonl", "--new")
    for called, job in ((changed, 1), (new, 2)):
        assert called.code == 0
        assert f"it goes where job {job} went: {server.url}" in called.err
    assert endpoints() == [server.url] * 3


def test_a_cancelled_job_still_says_where_its_file_goes() -> None:
    with provider() as server:
        batcher("submit", job_file(Path("j.jsonl"), *rows(2)), "--base-url", server.url)
        batcher("cancel", 1)
        assert batcher("run", "j.jsonl").code == 0
    assert endpoints() == [server.url] * 2


def test_a_trial_against_the_simulated_provider_is_no_job_to_continue() -> None:
    file = job_file(Path("j.jsonl"), *rows(2))
    assert batcher("run", file, "--simulate").code == 0
    called = batcher("run", file)
    assert called.code == 2
    assert "OPENAI_API_KEY is not set" in called.err
    assert len(jobs_now()) == 1


def test_a_copy_under_another_name_gets_its_own_results_and_says_whose_answers_they_are() -> None:
    with provider() as server:
        run_on(server, job_file(Path("a.jsonl"), *rows(2)))
        called = run_on(server, job_file(Path("b.jsonl"), *rows(2)))
        assert server.requests == 2
        assert "b.jsonl holds the same requests as a.jsonl; their answers are those of job 1" in called.err
        assert "b.results.jsonl is written" in called.err
        assert "b.results.jsonl" in called.out
        assert rows_of("b.results.jsonl") == rows_of("a.results.jsonl")
        run_on(server, "a.jsonl")
        batcher("submit", job_file(Path("c.jsonl"), *rows(3)), "--base-url", server.url)
        # What is still to be run moves to the place that was asked for last.
        assert run_on(server, job_file(Path("d.jsonl"), *rows(3))).code == 0
    assert len(rows_of("d.results.jsonl")) == 3
    assert not Path("c.results.jsonl").exists()


def test_python_goes_on_where_the_job_runs_and_stores_nothing_without_a_key() -> None:
    file = job_file(Path("j.jsonl"), *rows(2))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        api.run_file(file)
    assert jobs_now() == []
    with provider() as first, provider() as second:
        api.run_file(file, base_url=first.url)
        assert api.run_file(file).completed == 2
        assert first.requests == 2
        api.run_file(file, base_url=second.url)
        with pytest.raises(UsageError, match="jobs at several endpoints"):
            api.run_file(file)


def test_a_limit_for_a_model_that_the_file_does_not_hold_is_named() -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with provider() as server:
        called = run_on(server, file, "--rpm", "mm=5", "--tpm", "m=100k")
        again = batcher("resume", 1, "--rpm", "zz=5")
        checked = batcher("check", file, "--rpm", "mm=5")
    assert "--rpm mm=… limits nothing: no row is for that model, only for m; did you mean --rpm m=N?" in called.err
    assert "--tpm" not in called.err
    assert "--rpm zz=… limits nothing" in again.err
    assert "--rpm mm=… limits nothing" in checked.err

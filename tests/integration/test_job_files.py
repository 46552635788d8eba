"""Every file in jobs/ runs as its README says."""

import re
from pathlib import Path

import pytest

from tests.support.commands import batcher
from tests.support.programs import JOBS, rows_of

pytestmark = pytest.mark.usefixtures("folder")

FILES = sorted(JOBS.glob("*.jsonl"))


@pytest.fixture
def here(folder: Path) -> Path:
    """Copies of the files, so that results do not fall beside the originals."""
    (folder / "jobs").mkdir()
    for file in FILES:
        (folder / "jobs" / file.name).write_bytes(file.read_bytes())
    return folder


def custom_ids(path: Path) -> list[str]:
    return [row.get("custom_id", f"line-{number}") for number, row in enumerate(rows_of(path), 1)]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [file.stem for file in FILES if file.stem != "failures"])
def test_a_file_is_answered_whole(name: str) -> None:
    called = batcher("run", f"jobs/{name}.jsonl", "--simulate")
    assert called.code == 0, called.err
    results = rows_of(f"jobs/{name}.simulated.results.jsonl")
    assert [row["custom_id"] for row in results] == custom_ids(JOBS / f"{name}.jsonl")
    assert all(row["response"]["status_code"] == 200 for row in results)
    assert not Path(f"jobs/{name}.simulated.errors.jsonl").exists()
    if name == "chat":
        assert sum(row["batcher"]["cached"] for row in results) == 3


@pytest.mark.usefixtures("here")
def test_the_file_of_failures_ends_as_its_readme_says_and_a_letter_can_be_mended() -> None:
    called = batcher("run", "jobs/failures.jsonl", "--simulate")
    assert called.code == 3
    results, errors = (rows_of(f"jobs/failures.simulated.{kind}.jsonl") for kind in ("results", "errors"))
    assert (len(results), len(errors)) == (8, 6)
    assert sum(row["batcher"]["attempts"] > 1 or row["batcher"]["latency_seconds"] > 1 for row in results) == 7
    assert batcher("dlq", "summary").code == 0
    letters = batcher("dlq", "list", "--json").json
    assert [letter["custom_id"] for letter in letters["data"]] == [row["custom_id"] for row in errors]
    assert all(letter["advice"] for letter in letters["data"])

    (hot,) = [letter["request"] for letter in letters["data"] if letter["custom_id"] == "too-hot"]
    assert batcher("dlq", "retry", hot, "--set", "temperature=0.7").code == 0
    assert batcher("resume").code == 3
    assert len(rows_of("jobs/failures.simulated.results.jsonl")) == 9
    assert [attempt["attempt"] for attempt in batcher("dlq", "show", hot, "--json").json["history"]] == [1, 2]


def test_the_readme_names_every_file_and_no_other() -> None:
    text = (JOBS / "README.md").read_text()
    assert sorted(set(re.findall(r"jobs/(\w+)\.jsonl", text))) == [file.stem for file in FILES]

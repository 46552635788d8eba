"""The speed benchmark itself, small, so that it does not rot."""

import sys
from pathlib import Path

import msgspec

from tests.benchmarks.speed.figures import Report
from tests.benchmarks.speed.process import run

_PROGRAM = (sys.executable, "-m", "tests.benchmarks.speed")


def test_a_small_run_is_measured_beside_the_bare_loop_and_kept(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    small = ("--rows", 200, "--repeats", 2, "--json", kept, "--folder", tmp_path / "bench")
    # 200 rows are all start-up: whether the figures are met is not what this tests.
    ran = run(*_PROGRAM, "run", *small, cwd=tmp_path, ends=(0, 1))
    assert b"whole command, of the bare loop's rate" in ran.out
    report = msgspec.json.decode(kept.read_bytes(), type=Report)
    assert {figure.case for figure in report.figures} == {"run"}
    assert all(len(figure.repeats) == 2 for figure in report.figures)
    assert all(repeat > 0 for figure in report.figures for repeat in figure.repeats)

    same = run(*_PROGRAM, "compare", kept, kept, cwd=tmp_path)
    ratios = [line.split()[-1] for line in same.out.decode().splitlines()[1:]]
    assert ratios == ["1.00"] * len(report.figures)


def test_the_pieces_of_the_hot_path_can_be_measured_alone(tmp_path: Path) -> None:
    ran = run(*_PROGRAM, "pieces", "--rows", 200, "--folder", tmp_path / "bench", cwd=tmp_path)
    names = [line.split("  ")[0] for line in ran.out.decode().splitlines()[1:]]
    for piece in ("read", "parse", "store", "claim", "admit", "send", "classify", "worker", "settle", "export"):
        assert piece in names


def test_a_case_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    ran = run(*_PROGRAM, "nonsense", cwd=tmp_path, ends=(1,))
    assert b"no such case: nonsense" in ran.err

"""The arithmetic and the tables of tests/benchmarks/speed."""

import sys
from pathlib import Path

import pytest

from tests.benchmarks.speed.figures import Figure, Report, Sense, compared, number, shown
from tests.benchmarks.speed.process import run
from tests.benchmarks.speed.profile import by_line, by_room, read_stacks


def figure(*repeats: float, sense: Sense = ">=", asked: float | None = 0.5, what: str = "rate") -> Figure:
    return Figure(case="run", what=what, repeats=repeats, sense=sense, asked=asked)


def report(commit: str, *figures: Figure) -> Report:
    return Report(commit=commit, machine="here", provider="nginx", load=0.1, versions={}, figures=figures)


def test_what_is_measured_is_the_median_of_the_repeats() -> None:
    assert figure(0.1, 0.9, 0.4).measured == 0.4
    assert figure(0.2, 0.4).measured == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("sense", "measured", "is_met"),
    [(">=", 0.49, False), (">=", 0.5, True), ("<=", 0.5, True), ("<=", 0.51, False)],
)
def test_a_figure_is_met_on_its_own_side_of_what_is_asked(sense: Sense, measured: float, is_met: bool) -> None:
    assert figure(measured, sense=sense).is_met is is_met


def test_a_figure_that_only_explains_is_always_met() -> None:
    assert figure(1e9, asked=None).is_met


@pytest.mark.parametrize(
    ("value", "text"),
    [(11_900.4, "11,900"), (84.12, "84.1"), (1.254, "1.25"), (0.0512, "0.051"), (-250.0, "-250"), (0.0, "0.000")],
)
def test_numbers_show_the_figures_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_says_what_is_asked_measured_and_short() -> None:
    head, met, short, told = shown(
        [figure(0.6, 0.7, 0.8), figure(300.0, sense="<=", asked=250.0), figure(7.0, asked=None)]
    ).splitlines()
    assert head.split() == ["case", "what", "asked", "measured", "of", "repeats,", "from", "to"]
    assert met.split() == ["run", "rate", ">=", "0.500", "0.700", "ok", "3:", "0.600", "…", "0.800"]
    assert short.split() == ["run", "rate", "<=", "250", "300", "SHORT"]
    assert told.split() == ["run", "rate", "7.00"]


def test_two_reports_are_compared_where_both_have_the_figure() -> None:
    before = report("aaa", figure(0.2), figure(1.0, what="gone"))
    after = report("bbb", figure(0.5), figure(1.0, what="new"))
    head, *rows = compared(before, after).splitlines()
    assert head.split() == ["case", "what", "aaa", "bbb", "ratio"]
    assert [row.split() for row in rows] == [["run", "rate", "0.200", "0.500", "2.50"]]


def test_a_process_is_measured_by_what_it_used(tmp_path: Path) -> None:
    ran = run(sys.executable, "-c", "x = bytearray(100 << 20); print(len(x))", cwd=tmp_path)
    assert ran.out == b"104857600\n"
    assert ran.peak_mib > 100
    assert ran.cpu > 0
    assert ran.wall > 0


def test_a_process_that_fails_ends_the_benchmark_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)ended with 3.*no such thing"):
        run(sys.executable, "-c", "import sys; sys.stderr.write('no such thing'); sys.exit(3)", cwd=tmp_path)


def test_samples_count_for_their_innermost_line_and_for_the_room_that_called_it() -> None:
    stacks = dict(
        read_stacks(
            "main (batcher/cli/run.py:9);send (/work/batcher/sender/http.py:7);post (site-packages/a/c.py:1) 3\n"
            "main (batcher/cli/run.py:9);send (/work/batcher/sender/http.py:7) 2\n"
            "bootstrap (threading.py:1) 1\n"
        )
    )
    assert by_line(stacks) == {
        "post (site-packages/a/c.py:1)": 3,
        "send (/work/batcher/sender/http.py:7)": 2,
        "bootstrap (threading.py:1)": 1,
    }
    assert by_room(stacks) == {"batcher/sender/http.py": 5, "outside": 1}

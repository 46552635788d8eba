"""`--help` of every command, and what the program loads to show it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from batcher.cli import cli
from batcher.cli.lazy_group import COMMANDS
from batcher.domain.messages import Cause
from batcher.policy.output import advice
from batcher.policy.wording.token_overflow import Figures
from tests.support.commands import batcher
from tests.support.messages import words

_HEAVY = ("sqlalchemy", "aiohttp", "aiolimiter", "alembic", "rich", "zstandard", "sqlite3")
_SHARED = {"--db", "--config", "--verbose", "--quiet", "--debug", "--log-file", "--log-format"}


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by its path, groups and what they hold."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


ALL = dict(commands(cli))


def named(path: tuple[str, ...]) -> str:
    return " ".join(path)


@pytest.mark.parametrize("path", ALL, ids=named)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_an_example_of_itself(path, flag):
    called = batcher(*path, flag)
    assert (called.code, called.err) == (0, "")
    _, _, examples = called.out.partition("Example")
    assert f"batcher {named(path)}" in examples


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_command_takes_the_shared_options(path):
    options = {option for parameter in ALL[path].params for option in parameter.opts}
    assert options >= _SHARED


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_option_says_what_it_is_for(path):
    silent = [each.name for each in ALL[path].params if isinstance(each, click.Option) and not each.help]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name):
    assert COMMANDS[name][2] == (ALL[name,].help or "").partition("\n")[0]


def test_the_program_says_its_version():
    assert re.fullmatch(r"batcher, version \d+\.\d+\.\d+\S*\n", batcher("--version").out)


@pytest.mark.usefixtures("folder")
def test_the_list_of_commands_is_shown_without_loading_any():
    program = (
        "import sys\nfrom batcher.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    # Coverage, where it watches processes, loads sqlite3 for itself.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    assert done.stderr.strip() == "[]"
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["stats"], 'did you mean "status"'),
        (["nonsense"], "`batcher --help` lists them"),
        (["status", "--jsn"], "--jsn"),
        (["cancel"], "JOB"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_slip_is_exit_2_and_says_where_help_is(wrong, says):
    called = batcher(*wrong)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert "--help`" in called.err


@pytest.mark.parametrize("args", [["--db", "x.db", "status", "--json"], ["status", "--json", "--db", "x.db"]])
def test_the_shared_options_are_taken_before_and_after_the_name(folder, args):
    from tests.support.jobs import rows, run_job

    run_job(folder, rows(answered=1))
    (folder / "batcher.db").rename(folder / "x.db")
    assert len(batcher(*args).json["data"]) == 1


_KINDS = [("transient", None), ("transient", 500), *(("permanent", status) for status in advice._BY_STATUS)]


def said_commands() -> list[str]:
    """Every command that the advice about dead letters names."""
    means = advice.Means(which=advice.by_code("c"), jobs="1", endpoint=Cause.ENDPOINT(base_url="URL", key="KEY"))
    figures = Figures(longest=2, least_limit=1, most_limit=1)
    messages = [advice.advice(code, "permanent", None, means=means) for code in (*advice._BY_CODE, "of_tomorrow")]
    messages += [advice.advice("c", kind, status, means=means) for kind, status in _KINDS]
    messages += [advice.advice_in_figures(code, figures, means=means) for code in ("c", "request_too_large")]
    # `test_pasted_advice` runs them.
    texts = [words(message) for message in messages]
    return sorted({said for text in texts for said in re.findall(r"`batcher ([^`]*)`", text)})


@pytest.mark.parametrize("said", said_commands())
def test_advice_names_only_commands_and_options_that_there_are(said):
    parts = shlex.split(said)
    path = (parts[0],) if not isinstance(ALL[parts[0],], click.Group) else (parts[0], parts[1])
    assert path in ALL
    parameters = ALL[path].params
    known = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
    assert {part for part in parts if part.startswith("--")} <= known

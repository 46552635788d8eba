"""The help texts of the commands as Markdown, for the cog blocks of the documentation."""

from collections.abc import Iterator

import click
from click.testing import CliRunner

from batcher.cli import cli
from batcher.cli.lazy_group import COMMANDS

_WIDTH = 100


def command_list() -> str:
    """A table of the commands."""
    rows = [
        f"| [`batcher {name}`](commands.md#batcher-{name}) | {short} |" for name, (_, _, short) in COMMANDS.items()
    ]
    return "\n".join(["| command | does |", "| --- | --- |", *rows]) + "\n"


def help_of_all() -> str:
    """A section for each command with its help, sub-commands below their group."""
    return "".join(
        f"\n{'#' * (len(names) + 1)} batcher {' '.join(names)}\n\n```text\n{_help(names)}```\n"
        for names in _names(cli, ())
    )


def _names(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*above, name)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _names(command, (*above, name))


def _help(names: tuple[str, ...]) -> str:
    shown = CliRunner().invoke(cli, [*names, "--help"], prog_name="batcher", terminal_width=_WIDTH)
    return shown.output

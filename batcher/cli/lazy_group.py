"""A command group that imports a command when it is called, so that `--help` is fast."""

import shlex
from importlib import import_module
from pathlib import Path
from typing import Final

import click

#: name → (module in batcher.cli.commands, the command in it, its description in the list).
#: A test compares the description with the command's own.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "run": ("run", "run", "Run a job file to the end and write its results."),
    "submit": ("submit", "submit", "Check and store a job file, to run it later."),
    "resume": ("resume", "resume", "Run unfinished jobs to the end."),
    "status": ("status", "status", "Show all jobs, or one job in detail."),
    "results": ("results", "results", "Write the results of a job, in input order."),
    "cancel": ("cancel", "cancel", "Cancel the pending rows of a job."),
    "delete": ("delete", "delete", "Delete jobs and their answers from the store."),
    "check": ("check", "check", "Check a job file without storing or sending it."),
    "dlq": ("dlq", "dlq", "Inspect, edit and retry dead letters."),
    "cache": ("cache", "cache", "Show or clear the cache of answers."),
    "doctor": ("doctor", "doctor", "Check settings, key, endpoint and store, and suggest fixes."),
    "bundle": ("bundle", "bundle", "Pack diagnostics for a support request into one zip."),
    "simulate": ("simulate", "simulate", "Serve a simulated provider on localhost."),
    "db": ("db", "db", "Check, compact, back up or upgrade the store."),
}


class LazyGroup(click.Group):
    """A group whose commands are listed by name and imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        found = getattr(import_module(f"batcher.cli.commands.{module}"), name)
        assert isinstance(found, click.Command)  # noqa: S101 - the table names commands
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, _, short) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; raise UsageError with the closest name if there is none."""
        from difflib import get_close_matches  # noqa: PLC0415 - needed only for a wrong name

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else "; `batcher --help` lists them"
            if Path(name).is_file():
                hint = f"; `batcher run {shlex.quote(name)}` runs a file"
            raise click.UsageError(f'there is no command "{name}"{hint}', ctx)
        return super().resolve_command(ctx, args)

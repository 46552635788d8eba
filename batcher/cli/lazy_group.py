"""Commands loaded when they are called, so that `--help` stays quick."""

from importlib import import_module
from typing import Final

import click

#: name → (module in batcher.cli.commands, its command, its line in the list).
#: A test compares that line with the command.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "run": ("run", "run", "Submit a job file, run it to the end, write its results."),
    "submit": ("submit", "submit", "Check and store a job file; run it later."),
    "resume": ("resume", "resume", "Run unfinished jobs to the end."),
    "status": ("status", "status", "Show the jobs, or one job whole."),
    "results": ("results", "results", "Write the answers of a job, in input order."),
    "cancel": ("cancel", "cancel", "Cancel what a job has not sent yet."),
    "delete": ("delete", "delete", "Remove a job and its results."),
    "check": ("check", "check", "Check a job file; nothing is stored or sent."),
    "dlq": ("dlq", "dlq", "Look into the dead-letter queue, and try again."),
    "cache": ("cache", "cache", "Answers kept for reuse."),
    "doctor": ("doctor", "doctor", "Check that it works from here, and say how to mend it."),
    "bundle": ("bundle", "bundle", "Pack what a support desk asks for into one zip."),
    "simulate": ("simulate", "simulate", "Serve a simulated provider on loopback."),
    "db": ("db", "db", "Look after the store."),
}


class LazyGroup(click.Group):
    """Knows its commands by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module; None: there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        found = getattr(import_module(f"batcher.cli.commands.{module}"), name)
        assert isinstance(found, click.Command)  # noqa: S101 - the table names commands
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, _, short) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest name where there is no such command."""
        from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else "; `batcher --help` lists them"
            raise click.UsageError(f'there is no command "{name}"{hint}', ctx)
        return super().resolve_command(ctx, args)

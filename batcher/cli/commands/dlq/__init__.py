"""`batcher dlq`: inspect, edit and retry dead letters.

selection  the options that select dead letters
list_show  list dead letters, or show one
summary    group dead letters by cause
retry      requeue dead letters, edited on request
probe      `retry --probe`: send one dead letter first
export     write dead letters as a job file
discard    cancel dead letters
"""

import click

from batcher.cli.commands.dlq.discard import discard
from batcher.cli.commands.dlq.export import export
from batcher.cli.commands.dlq.list_show import list_, show
from batcher.cli.commands.dlq.retry import retry
from batcher.cli.commands.dlq.summary import summary
from batcher.cli.params.session import shared

_EPILOG = """\b
Examples:
  batcher dlq summary                 causes, each with a fix
  batcher dlq show 17                 one dead letter in detail
  batcher dlq retry --code timeout    requeue all that timed out
"""


@click.group(epilog=_EPILOG)
@shared
def dlq() -> None:
    """Inspect, edit and retry dead letters.

    A dead letter is a row that failed permanently. It is kept with all its attempts.
    """


for _command in (summary, list_, show, retry, export, discard):
    dlq.add_command(_command)

"""`batcher dlq`: look into the dead-letter queue, and try again.

selection  the options that say which dead letters are meant
list_show  `list` and `show`
summary    grouped by cause
retry      back to pending, edited if asked
probe      `retry --probe`: one first
requeued   what `retry` prints
export     as a job file
discard    given up
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
  batcher dlq summary
  batcher dlq show 17
  batcher dlq retry --code context_length_exceeded --set max_tokens=500 --probe
"""


@click.group(epilog=_EPILOG)
@shared
def dlq() -> None:
    """Look into the dead-letter queue, and try again.

    A dead letter is a row that failed for good. It is kept with its whole history.
    """


for _command in (summary, list_, show, retry, export, discard):
    dlq.add_command(_command)

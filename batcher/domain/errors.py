"""The errors that people and programs see, in one tree.

BatcherError
├── UsageError          wrong use; nothing was sent
│   ├── ConfigError     a flag, a variable or batcher.toml is wrong
│   │   └── CredentialsError  a key is missing, or is none
│   ├── UnknownJob      no such job, or a name that fits several
│   └── InputError      a job file with invalid lines; carries them
├── StoreError          the store cannot be used
│   ├── StoreTooNew     made by a newer program
│   ├── ForeignStore    a file that is not a store of this program
│   └── RunnerBusy      another runner is using this store
├── NotFinished         results were requested of an unfinished job
└── Paused              a person must act; carries reason and fix

A message says what is wrong and where; `hint` says what to do next, and `kind` is one word for programs. If they
name an option or a command, they are causes with parameters (`domain.messages`), and the surface words them.
"""

from collections.abc import Sequence
from typing import ClassVar

from batcher.domain.messages import Words
from batcher.domain.requests import BadLine, BadLines, ForeignLines

#: How many invalid lines the error's own message names.
_BAD_LINES_IN_WORDS = 5


class BatcherError(Exception):
    """Base of all errors of this package: a file or a store that cannot be read or written."""

    kind: ClassVar[str] = "store"

    def __init__(self, message: Words, *, hint: Words | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return "\n  → ".join([str(self.message), *str(self.hint or "").splitlines()])


class UsageError(BatcherError):
    """Wrong use; nothing was sent."""

    kind = "usage"


class ConfigError(UsageError):
    """A flag, an environment variable or `batcher.toml` is wrong."""

    kind = "config"


class CredentialsError(ConfigError):
    """A key is missing, or what stands in its variable is no key."""

    kind = "credentials"


class UnknownJob(UsageError):
    """No such job, or a name that fits several."""

    kind = "unknown_job"


class InputError(UsageError):
    """A job file that was refused.

    `bad` holds the first invalid lines at most; `count` is the number of all. `groups` are the lines by reason,
    and `forms` those of other forms than a job file's.
    """

    kind = "input"

    def __init__(
        self,
        message: Words,
        *,
        source: str,
        bad: Sequence[BadLine] = (),
        count: int = 0,
        groups: Sequence[BadLines] = (),
        forms: Sequence[ForeignLines] = (),
        hint: Words | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.source = source
        self.bad = tuple(bad)
        self.count = count
        self.groups = tuple(groups)
        self.forms = tuple(forms)

    def __str__(self) -> str:
        texts = sorted(text for group in self.groups for text in group.texts(self.source))
        return super().__str__() + "".join(f"\n{text}" for _, text in texts[:_BAD_LINES_IN_WORDS])


class StoreError(BatcherError):
    """The store cannot be used as it is."""


class StoreTooNew(StoreError):
    """The store was made by a newer program."""


class ForeignStore(StoreError):
    """The file is not a store of this program."""


class RunnerBusy(StoreError):
    """Another runner is using this store."""

    kind = "busy"

    def __init__(self, message: Words, *, pid: int | None = None, hint: Words | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class NotFinished(BatcherError):
    """Results were requested of a job that is not finished."""

    kind = "unfinished"


class Paused(BatcherError):
    """Sending stopped until a person acts."""

    kind = "paused"

    def __init__(self, reason: str, message: Words, fix: Words) -> None:
        super().__init__(message, hint=fix)
        self.reason = reason
        self.fix = fix

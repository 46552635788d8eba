"""batcher runs a file of LLM requests to the end.

The way of one request:

    job file → read line → parse and check → store → claim → admit → send → classify → settle → export

The rooms, each importing only what stands below it:

    cli, api      surfaces: the command line, and `Batcher` and `run_file` for Python
    app           builds concrete things
    services      what every surface offers, one file a use
    config        flag > what the job remembers > environment > batcher.toml > default
    worker        the loops: claim, admit, execute one request, settle in groups, drain
    store         SQL; SQLite in WAL, one thread that commits in groups
    sender        HTTP out
    budget        the limits in force
    files         JSONL in and out
    simulate      a provider on loopback
    ports         the seams of the worker
    policy        the decisions: pure functions
    domain        the words: frozen values

Importing this package costs little: the public names are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from batcher.api import Batcher as Batcher
    from batcher.api import JobHandle as JobHandle
    from batcher.api import Result as Result
    from batcher.api import ResultError as ResultError
    from batcher.api import Summary as Summary
    from batcher.api import run_file as run_file
    from batcher.domain.errors import BatcherError as BatcherError
    from batcher.domain.errors import InputError as InputError
    from batcher.domain.errors import Paused as Paused
    from batcher.domain.settings import Limits as Limits

_HOMES = {
    "Batcher": "batcher.api",
    "JobHandle": "batcher.api",
    "Result": "batcher.api",
    "ResultError": "batcher.api",
    "Summary": "batcher.api",
    "run_file": "batcher.api",
    "BatcherError": "batcher.domain.errors",
    "InputError": "batcher.domain.errors",
    "Paused": "batcher.domain.errors",
    "Limits": "batcher.domain.settings",
}

__all__ = ["Batcher", "BatcherError", "InputError", "JobHandle", "Limits", "Paused", "Result", "ResultError"]
__all__ += ["Summary", "__version__", "run_file"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'batcher' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only where a name is used

    return getattr(import_module(_HOMES[name]), name)

"""batcher runs a file of LLM requests to the end: at the provider's limit, every row answered once on disk.

From Python:

    import batcher

    summary = batcher.run_file("job.jsonl", output="results.jsonl", rpm=500)
    print(summary.completed, "answered")

Run again, it continues where it stopped. In async code, `Batcher` yields each row as it finishes:

    async with batcher.Batcher(limits=batcher.Limits(rpm=500)) as queue:
        job = await queue.submit("job.jsonl")
        async for result in queue.run(job):
            print(result.custom_id, result.error or result.json())

From a shell: `batcher run job.jsonl --rpm 500`, and `batcher --help`.

The map of the code, along the path of one request:

    job file → read line → parse and check → store → claim → admit → send → classify → settle → export

Each package imports only from those below it:

    cli, api      surfaces: the command line, and `Batcher` and `run_file` for Python
    messages      the words for what people read
    app           the composition root: constructs the concrete objects
    services      what every surface offers, one module per use case
    config        flag > what the job remembers > environment > batcher.toml > default
    worker        the loops: claim, admit, execute one request, settle in batches, drain
    store         SQL: SQLite in WAL mode, one thread that commits in batches
    sender        sends HTTP requests
    validator     validates structured output in a child process
    budget        the rate limits in force
    files         reads and writes JSONL
    simulate      a simulated provider on loopback
    clock, ports  the system's clock, and the interfaces of the worker
    interpreter   starts a second Python for the helper processes
    processes     what the system says about other processes
    os_locks      the system's locks on open files
    policy        the decisions, as pure functions
    domain        the terms, as frozen values

Importing this package is cheap: the public names are loaded when they are first used.
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


def __dir__() -> list[str]:
    """List the public names only, for completion and `help`."""
    return [*__all__]

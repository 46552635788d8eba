"""Settings, checked once at the door: flag > what the job remembers > environment > batcher.toml > default.

checks       one value of one flag, variable or key: its type, its range, an error that names it
limits       `--rpm 500`, `--rpm MODEL=500` and the tables of the file, laid over each other
layers       what each source gives: `Flags`, `FileSettings`, and the `Layer` they share
file         batcher.toml
resolve      the layers into `JobSettings` and `ProcessSettings`
changes      what a flag on `resume` replaced, in words
credentials  the key and the extra headers, from the variables that hold them
paths        the store's place and the CA file
"""

from batcher.config.changes import remembered_changes
from batcher.config.credentials import as_secret, find_headers, find_key
from batcher.config.file import DEFAULT_FILE, load_file
from batcher.config.layers import FileSettings, Flags
from batcher.config.paths import check_ca_file
from batcher.config.resolve import SIMULATED_BASE_URL, resolve_job, resolve_process

__all__ = [
    "DEFAULT_FILE",
    "SIMULATED_BASE_URL",
    "FileSettings",
    "Flags",
    "as_secret",
    "check_ca_file",
    "find_headers",
    "find_key",
    "load_file",
    "remembered_changes",
    "resolve_job",
    "resolve_process",
]

"""Settings, checked when a command starts: flag > what the job remembers > environment > batcher.toml > default.

answer_scope which headers separate answers that may be shared
changes      what a flag of `resume` replaced, as sentences
checks       checks of one value: its type, its range, an error that names it
credentials  the API key and the extra headers, from the variables that hold them
file         reads batcher.toml
headers      the names that an extra header may have
layers       what each source gives: `Flags`, and a checked `Layer`
limits       `--rpm 500` and `--rpm MODEL=500`, and the limits of a job's settings
paths        paths below a home folder, and the CA file
setting      what there is to know about one setting
table        the table of settings: each with its names, its check and its words
resolve      merges the layers into `JobSettings` and `ProcessSettings`
unknown      errors with a suggestion for unknown keys of batcher.toml
"""

from batcher.config.answer_scope import answer_scope, choosing_headers
from batcher.config.changes import remembered_changes
from batcher.config.credentials import as_secret, find_headers, find_key, key_mark
from batcher.config.file import DEFAULT_FILE, load_file
from batcher.config.headers import key_header
from batcher.config.layers import Arguments, FileSettings, Flags, limited_models
from batcher.config.paths import check_ca_file
from batcher.config.resolve import (
    SIMULATED_BASE_URL,
    base_url_named_by,
    names_endpoint,
    resolve_job,
    resolve_process,
)

__all__ = [
    "DEFAULT_FILE",
    "SIMULATED_BASE_URL",
    "Arguments",
    "FileSettings",
    "Flags",
    "answer_scope",
    "as_secret",
    "base_url_named_by",
    "check_ca_file",
    "choosing_headers",
    "find_headers",
    "find_key",
    "key_header",
    "key_mark",
    "limited_models",
    "load_file",
    "names_endpoint",
    "remembered_changes",
    "resolve_job",
    "resolve_process",
]

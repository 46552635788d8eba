"""The Python surface: `Batcher` for async code, `run_file` for everything else, over the same services.

results   what a caller gets for a row, and for a job
stream    rows as they finish
queue     `Batcher`
running   `run_file`
"""

from batcher.api.queue import Batcher
from batcher.api.results import JobHandle, Result, ResultError, Summary
from batcher.api.sync import run_file

__all__ = ["Batcher", "JobHandle", "Result", "ResultError", "Summary", "run_file"]

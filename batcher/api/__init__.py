"""The Python surface: `Batcher` for async code and `run_file` for everything else, over the same services.

arguments  the settings as arguments
errors     errors that name Python's arguments instead of flags
queue      `Batcher`
results    what a caller gets for a row, and for a job
sources    what `submit` accepts: a path, or an iterable of request objects
stream     yields rows as they finish
sync       `run_file`
"""

from batcher.api.arguments import SettingArguments
from batcher.api.queue import Batcher
from batcher.api.results import JobHandle, Result, ResultError, Summary
from batcher.api.sync import run_file

__all__ = ["Batcher", "JobHandle", "Result", "ResultError", "SettingArguments", "Summary", "run_file"]

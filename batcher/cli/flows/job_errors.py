"""Errors about one job of several name it and its endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager

from batcher.cli.terminal.messages import words
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.policy.urls import shown_base_url


@contextmanager
def errors_named(job: Job) -> Iterator[None]:
    """Inside the block, errors of settings, credentials and outputs name the job and its endpoint."""
    try:
        yield
    except UsageError as error:
        error.message = f"job {job.id} ({job.name}) at {shown_base_url(job.base_url)}: {words(error.message)}"
        error.args = (error.message,)
        raise

"""Validates structured output in this process, for tests and for the simulation in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batcher.domain.outcomes import Failure, Success
from batcher.policy.classify.structured_output import check_output


class InlineValidator:
    """`ports.OutputValidator` without a child process."""

    async def validate(self, success: Success, *, request: bytes, reply: bytes) -> Success | Failure:
        """See `ports.OutputValidator`."""
        return check_output(success, request=request, reply=reply)


@asynccontextmanager
async def inline_validator() -> AsyncIterator[InlineValidator]:
    """As `Parts.validator` makes one."""
    yield InlineValidator()

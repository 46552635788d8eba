"""A pool of reusable asyncio tasks that carry out requests.

Reusing a task is about twice as cheap as creating one.
"""

import asyncio
from collections.abc import Awaitable, Callable

from batcher.worker.attempts.attempt import Dispatch


class TaskPool:
    """Carries out what it is given, at once, by an idle task or a new one."""

    def __init__(self, carry_out: Callable[[Dispatch], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._carry_out = carry_out
        self._tasks = tasks
        self._idle: list[tuple[asyncio.Task[None], asyncio.Future[Dispatch]]] = []
        self._is_closing = False
        #: Tasks that carry a request; a second signal cancels them.
        self.out: set[asyncio.Task[None]] = set()

    def send(self, dispatch: Dispatch) -> None:
        """Carry out a request; it begins when the caller next waits."""
        if self._idle:
            member, hand = self._idle.pop()
            hand.set_result(dispatch)
        else:
            member = self._tasks.create_task(self._serve(dispatch))
            member.add_done_callback(self.out.discard)
        self.out.add(member)

    def close_idle(self) -> None:
        """End the idle tasks now, and the others when their requests are back."""
        self._is_closing = True
        for _, hand in self._idle:
            hand.cancel()
        self._idle.clear()

    async def _serve(self, dispatch: Dispatch) -> None:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        assert me is not None  # noqa: S101 - for the type checker: this runs in a task
        while True:
            await self._carry_out(dispatch)
            if self._is_closing:
                return
            hand: asyncio.Future[Dispatch] = loop.create_future()
            self.out.discard(me)
            self._idle.append((me, hand))
            dispatch = await hand

"""Ends the followers of a leader that had too many for one commit, a chunk at a time beside everything else."""

import asyncio

from batcher.ports import Events, Queue
from batcher.worker.run_state import State


class FollowerSharing:
    """Runs beside the commit broker. What a killed runner has left is done first."""

    def __init__(self, *, queue: Queue, state: State, events: Events) -> None:
        self._queue = queue
        self._state = state
        self._events = events

    async def run(self) -> None:
        """Run until cancelled. A chunk that is being committed then is on disk, but not reported."""
        state = self._state
        while True:
            state.followers_left.clear()
            settled, more = await self._queue.share_ends()
            state.count(settled)
            for each in settled:
                self._events.emit(each)
            if more:
                # Settlements and claims come between two chunks.
                await asyncio.sleep(0)
                continue
            for job in state.jobs.values():
                job.check_at = 0.0
            state.wake.set()
            await state.followers_left.wait()

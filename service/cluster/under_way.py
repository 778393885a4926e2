"""Questions under way: whoever asks the same meanwhile waits for the same answer."""

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class UnderWay(Generic[Key, Answer]):
    """Questions by key. A question is everyone's who waits for it: one who goes away must not take it along."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[Answer]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, key: Key) -> "asyncio.Task[Answer] | None":
        return self._tasks.get(key)

    def begin(self, key: Key, question: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        """Ask a question that is not under way."""
        task = self._tasks[key] = asyncio.create_task(question)
        task.add_done_callback(lambda done: self._finish(key, done))
        return task

    def _finish(self, key: Key, task: "asyncio.Task[Answer]") -> None:
        del self._tasks[key]
        if not task.cancelled():
            # Marks an error as seen: those who waited have it, and there may be nobody left who did.
            task.exception()

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

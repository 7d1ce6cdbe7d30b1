"""Coroutines of a program's own, run from code that is not asynchronous."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Awaiter"]


class Awaiter:
    """Runs coroutines of the author's, all on one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, value: Any) -> Any:
        """Return the value of a coroutine, run to its end; any other value as it is."""
        if not inspect.iscoroutine(value):
            return value
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, self._loop.close)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(value)
        # A loop already runs in this thread, such as a notebook's; it cannot run another one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, _finish(value)).result()


async def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine

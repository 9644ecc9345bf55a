"""The loaded models by name: each with an engine, loaded and unloaded while others answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from replank.runtime.model import Model
from replank.system.errors import NotFoundError, NotReadyError, ReplankError
from replank_serve.engine.engine import Engine
from replank_serve.models.loaded_model import Served, checked_name
from replank_serve.models.memory import give_back_memory

_log = logging.getLogger(__name__)
MakeEngine = Callable[[str, Model], Engine]


class Models:
    """Models that are served side by side; the first is the default. All methods belong to one event loop.

    :param models: loaded before the server starts.
    :param drain_seconds: how long the requests of a model that was unloaded or replaced may take.
    :raises UsageError: a name that would not fit into a path.
    """

    def __init__(self, models: Mapping[str, Model], make_engine: MakeEngine, drain_seconds: float) -> None:
        self._make_engine = make_engine
        self._drain_seconds = drain_seconds
        self._served = {
            checked_name(name): Served(name, model, make_engine(name, model)) for name, model in models.items()
        }
        self._retiring: dict[asyncio.Task[None], Served] = {}
        self._loading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._draining = False

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))

    @property
    def state(self) -> str:
        """``ready`` if all models are, ``empty`` without any, else the state of one that is not."""
        if self._draining:
            return "draining"
        states = [served.engine.state for served in self]
        if "dead" in states:
            return "dead"
        return next((state for state in states if state != "ready"), "ready" if states else "empty")

    def get(self, name: str | None = None) -> Served:
        """A model by its name; the default where ``None``.

        :raises NotFoundError: there is none of that name.
        :raises NotReadyError: there is none at all.
        """
        if not self._served:
            raise NotReadyError("no model is loaded")
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            raise NotFoundError(f"there is no model {name[:64]!r}; loaded: {', '.join(self._served)}")
        return self._served[name]

    async def load(self, name: str, load: Callable[[], Model]) -> Served:
        """Load a model and, once it is warm, put it into its place at once.

        What replaces a model of the same name takes every request from then on; those that the old one has, it
        answers. If loading fails, nothing has changed.

        :param load: called in a thread.
        :raises ReplankError: the model cannot be loaded, or fails in its warm-up.
        """
        checked_name(name)
        async with self._loading:
            self._require_open()
            model = await asyncio.to_thread(load)
            served = Served(name, model, self._make_engine(name, model))
            served.engine.start()
            try:
                await served.engine.started()
                self._require_open()
            except ReplankError:
                await served.engine.close(0)
                raise
            old = self._served.get(name)
            self._served[name] = served
            self._changed.set()
            if old:
                self._retire(old)
            _log.info("model %s loaded: %s", name, served.source_name)
            return served

    async def unload(self, name: str) -> None:
        """Take a model away from further requests; those that it has, it answers.

        :raises NotFoundError: there is none of that name.
        """
        async with self._loading:
            served = self.get(name)
            del self._served[name]
            self._changed.set()
            self._retire(served)
            _log.info("model %s unloaded", name)

    def start(self) -> None:
        """Start all engines; they warm up."""
        for served in self:
            served.engine.start()

    async def started(self) -> None:
        """Wait for the end of all warm-ups.

        :raises ReplankError: a model failed in it.
        """
        for served in self:
            await served.engine.started()

    async def died(self) -> ReplankError:
        """Wait until an engine is dead for good, and say why."""
        while not (death := await self._died_before_change()):
            pass
        return death

    def drain(self) -> None:
        """Admit nothing more, load nothing more; what was admitted goes on."""
        self._draining = True
        for served in self._all():
            served.engine.drain()

    def abort(self) -> None:
        """Fail whatever is not answered yet."""
        for served in self._all():
            served.engine.abort()

    async def close(self) -> None:
        """Drain for as long as that takes or is allowed, then end all threads."""
        self.drain()
        await asyncio.gather(*(served.engine.close(self._drain_seconds) for served in self._all()))
        await asyncio.gather(*self._retiring)

    async def _died_before_change(self) -> ReplankError | None:
        # A function of its own: what a finished task holds, an engine and its model, must not outlive the change.
        self._changed.clear()
        change = asyncio.ensure_future(self._changed.wait())
        deaths = [asyncio.ensure_future(served.engine.died()) for served in self]
        try:
            await asyncio.wait((change, *deaths), return_when=asyncio.FIRST_COMPLETED)
            return next((death.result() for death in deaths if death.done()), None)
        finally:
            for task in (change, *deaths):
                task.cancel()

    def _all(self) -> list[Served]:
        return [*self, *self._retiring.values()]

    def _require_open(self) -> None:
        if self._draining:
            raise NotReadyError("the server is shutting down")

    def _retire(self, served: Served) -> None:
        task = asyncio.create_task(self._close_unused(served))
        self._retiring[task] = served
        task.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        del self._retiring[task]
        # Once nothing holds the model any more, which is after this callback.
        asyncio.get_running_loop().call_soon(give_back_memory)

    async def _close_unused(self, served: Served) -> None:
        # Whoever looked it up may not have reached its engine yet, which refuses everybody once it drains.
        await served.unused.wait()
        await served.engine.close(self._drain_seconds)

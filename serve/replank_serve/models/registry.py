"""The model registry: models with an engine each, loaded and unloaded while others answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from replank.runtime.model import Model
from replank.system.errors import NotFoundError, NotReadyError, ReplankError
from replank_serve.engine.engine import Engine
from replank_serve.models.loaded_model import LoadedModel, checked_name
from replank_serve.models.memory import release_memory

_log = logging.getLogger(__name__)
MakeEngine = Callable[[str, Model], Engine]


class ModelRegistry:
    """The models of one server by name; the first is the default. All methods belong to one event loop.

    :param models: the models at startup.
    :param drain_seconds: timeout for the pending requests of an unloaded or replaced model.
    :raises UsageError: a name that is not safe in a URL's path.
    """

    def __init__(self, models: Mapping[str, Model], make_engine: MakeEngine, drain_seconds: float) -> None:
        self._make_engine = make_engine
        self._drain_seconds = drain_seconds
        self._models = {
            checked_name(name): LoadedModel(name, model, make_engine(name, model)) for name, model in models.items()
        }
        self._retiring: dict[asyncio.Task[None], LoadedModel] = {}
        self._loading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._draining = False

    def __iter__(self) -> Iterator[LoadedModel]:
        return iter(list(self._models.values()))

    @property
    def state(self) -> str:
        """``ready`` if all models are, ``empty`` without any, else the state of one that is not ready."""
        if self._draining:
            return "draining"
        states = [loaded.engine.state for loaded in self]
        if "dead" in states:
            return "dead"
        return next((state for state in states if state != "ready"), "ready" if states else "empty")

    def get(self, name: str | None = None) -> LoadedModel:
        """A model by its name; the default model for ``None``.

        :raises NotFoundError: no model has that name.
        :raises NotReadyError: no model is loaded.
        """
        if not self._models:
            raise NotReadyError("no model is loaded")
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise NotFoundError(f"there is no model {name[:64]!r}; loaded: {', '.join(self._models)}")
        return self._models[name]

    async def load(self, name: str, load: Callable[[], Model]) -> LoadedModel:
        """Load a model, warm it up, and swap it in.

        It gets every request from then on; the model that it replaces, if any, answers its pending ones. If loading
        fails, nothing changes.

        :param load: called in a thread.
        :raises ReplankError: the model cannot be loaded, or fails in its warm-up.
        """
        checked_name(name)
        async with self._loading:
            self._require_open()
            model = await asyncio.to_thread(load)
            loaded = LoadedModel(name, model, self._make_engine(name, model))
            loaded.engine.start()
            try:
                await loaded.engine.started()
                self._require_open()
            except ReplankError:
                await loaded.engine.close(0)
                raise
            old = self._models.get(name)
            self._models[name] = loaded
            self._changed.set()
            if old:
                self._retire(old)
            _log.info("model %s loaded: %s", name, loaded.source_name)
            return loaded

    async def unload(self, name: str) -> None:
        """Take a model out of service; it answers its pending requests.

        :raises NotFoundError: no model has that name.
        """
        async with self._loading:
            loaded = self.get(name)
            del self._models[name]
            self._changed.set()
            self._retire(loaded)
            _log.info("model %s unloaded", name)

    def start(self) -> None:
        """Start all engines, which begin to warm up."""
        for loaded in self:
            loaded.engine.start()

    async def started(self) -> None:
        """Wait for the end of all warm-ups.

        :raises ReplankError: a model failed in it.
        """
        for loaded in self:
            await loaded.engine.started()

    async def died(self) -> ReplankError:
        """Wait until an engine is dead; the cause."""
        while not (death := await self._died_before_change()):
            pass
        return death

    def drain(self) -> None:
        """Refuse new requests and new models; admitted requests go on."""
        self._draining = True
        for loaded in self._all():
            loaded.engine.drain()

    def abort(self) -> None:
        """Fail all pending requests."""
        for loaded in self._all():
            loaded.engine.abort()

    async def close(self) -> None:
        """Drain, at most for ``drain_seconds``, and end all threads."""
        self.drain()
        await asyncio.gather(*(loaded.engine.close(self._drain_seconds) for loaded in self._all()))
        await asyncio.gather(*self._retiring)

    async def _died_before_change(self) -> ReplankError | None:
        # In a function of its own: the references of its finished tasks, to an engine and its model, end with it.
        self._changed.clear()
        change = asyncio.ensure_future(self._changed.wait())
        deaths = [asyncio.ensure_future(loaded.engine.died()) for loaded in self]
        try:
            await asyncio.wait((change, *deaths), return_when=asyncio.FIRST_COMPLETED)
            return next((death.result() for death in deaths if death.done()), None)
        finally:
            for task in (change, *deaths):
                task.cancel()

    def _all(self) -> list[LoadedModel]:
        return [*self, *self._retiring.values()]

    def _require_open(self) -> None:
        if self._draining:
            raise NotReadyError("the server is shutting down")

    def _retire(self, loaded: LoadedModel) -> None:
        task = asyncio.create_task(self._close_unused(loaded))
        self._retiring[task] = loaded
        task.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        del self._retiring[task]
        # After this callback, when the last reference to the model is gone.
        asyncio.get_running_loop().call_soon(release_memory)

    async def _close_unused(self, loaded: LoadedModel) -> None:
        # A request that has looked the model up may not have reached its engine, which refuses all once it drains.
        await loaded.unused.wait()
        await loaded.engine.close(self._drain_seconds)

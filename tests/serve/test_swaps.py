"""A model that takes another's place: nothing is lost, and the old one is forgotten."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app_client import post, with_app
from named_models import LOADING, LOCAL, constant, load, new_engine
from replank.runtime.model import Model
from replank.system.errors import NotReadyError
from replank_serve.engine.engine import Engine
from replank_serve.models.registry import ModelRegistry
from waiting import HANG_SECONDS


def test_a_swap_under_load_loses_nothing(model: Model, onnx_artifact: Path) -> None:
    """Every request is answered by the old or by the new, and after the swap by the new alone."""
    labels: list[str] = []
    sure = [constant(model, 5), constant(model, -5)]
    turns = iter([1, 0] * 10)
    config = replace(LOADING, loader=lambda _: sure[next(turns)], max_queue_tokens=10_000, drain_seconds=HANG_SECONDS)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        stopped = False

        async def ask() -> None:
            while not stopped:
                response = await post(http, {"inputs": ["good film", "a"]})
                assert response.status_code == 200, response.text
                found = {row[0]["label"] for row in response.json()}
                assert len(found) == 1
                labels.extend(found)

        clients = [asyncio.create_task(ask()) for _ in range(8)]
        for turn in range(10):
            swapped = await post(http, {"folder": str(onnx_artifact)}, f"{LOCAL}/models/onnx")
            assert swapped.status_code == 200
            after = (await post(http, {"inputs": "a"})).json()[0]["label"]
            assert after == ("positive" if turn % 2 else "negative")
            while labels[-1:] != [after]:
                await asyncio.sleep(0.001)
        stopped = True
        await asyncio.gather(*clients)

    with_app({"onnx": sure[0]}, client, config)
    assert {"positive", "negative"} == set(labels)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("replank")]


def test_a_model_that_was_replaced_is_forgotten(onnx_artifact: Path) -> None:
    async def scenario() -> None:
        models = ModelRegistry({"first": load(onnx_artifact)}, new_engine, drain_seconds=HANG_SECONDS)
        gone = weakref.ref(models.get().model)
        models.start()
        await models.started()
        watch = asyncio.ensure_future(models.died())
        await models.load("first", lambda: load(onnx_artifact))
        async with asyncio.timeout(HANG_SECONDS):
            while gone():
                await asyncio.sleep(0.01)
        watch.cancel()
        await models.close()

    asyncio.run(scenario())


class Remembering(ThreadPoolExecutor):
    """A pool whose threads let go of a call late, as on a busy machine."""

    def __init__(self) -> None:
        super().__init__(max_workers=2)
        self.calls: list[Any] = []

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append((call, args))
        return super().submit(call, *args, **kwargs)


def test_a_model_is_forgotten_even_if_its_thread_pool_is_slow_to(onnx_artifact: Path) -> None:
    async def scenario() -> None:
        pool = Remembering()
        asyncio.get_running_loop().set_default_executor(pool)
        models = ModelRegistry({"first": load(onnx_artifact)}, new_engine, drain_seconds=HANG_SECONDS)
        gone = weakref.ref(models.get().model)
        models.start()
        await models.started()
        await models.load("first", lambda: load(onnx_artifact))
        async with asyncio.timeout(HANG_SECONDS):
            while gone():
                await asyncio.sleep(0.01)
        assert pool.calls
        await models.close()

    asyncio.run(scenario())


def test_what_was_looked_up_before_a_swap_is_answered_by_the_old(model: Model) -> None:
    async def work() -> None:
        made: list[Engine] = []

        def make(name: str, loaded: Model) -> Engine:
            made.append(new_engine(name, loaded))
            return made[-1]

        models = ModelRegistry({"onnx": constant(model, 5)}, make, drain_seconds=HANG_SECONDS)
        models.start()
        await models.started()
        with models.get().use() as served:
            await models.load("onnx", lambda: constant(model, -5))
            await asyncio.sleep(0.05)
            inference = await served.engine.infer(["a"], timeout=HANG_SECONDS)
            assert inference.logits[0, 1] == 5
        models.drain()
        assert (models.state, made[1].state) == ("draining", "draining")
        with pytest.raises(NotReadyError, match="shutting down"):
            await models.load("late", lambda: model)
        await models.close()
        assert [engine.state for engine in made] == ["closed", "closed"]

    asyncio.run(work())

"""Past one machine: the same application as the ingress of Ray Serve's replicas.

Ray starts, scales, restarts and drains the replicas; batches form inside each of them, as in a single server.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from replank.models.source import open_source
from replank.runtime.model import load_model
from replank.runtime.providers import Device, provider_of
from replank.system.errors import UsageError
from replank_serve.app import build_app
from replank_serve.http.config import ServeConfig

NAME = "replank"
# Of requests, what a replica may hold: its own limit, which counts tokens, is to be met first.
_ONGOING = 256
_QUEUED = 256
# A replica with more than so many batches' worth of requests gets another beside it.
_BATCHES_BEFORE_SCALING = 2


@dataclasses.dataclass(frozen=True)
class RayConfig:
    """What runs in the replicas, and how many of them.

    :param models: folders by name, on a file system that every machine of the cluster sees.
    :param device: where each replica runs its models; a replica on a GPU has one of its own.
    :param threads: cores of one replica.
    :param replicas: how many there are at least.
    :param max_replicas: how many there are under load; as many as ``replicas`` where ``None``.
    :raises UsageError: a value out of range.
    """

    models: Mapping[str, str]
    device: Device = "cpu"
    threads: int = 1
    replicas: int = 1
    max_replicas: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "replicas"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} {getattr(self, name)}: expected at least 1")
        provider_of(self.device)
        if self.most < self.replicas:
            raise UsageError(f"--max-replicas {self.most} is less than --replicas {self.replicas}")

    @property
    def most(self) -> int:
        """How many replicas there can be."""
        return self.max_replicas or self.replicas


def build(arguments: dict[str, Any]) -> Any:
    """The application for Ray's own ``serve deploy``, from the ``args`` of its file; see ``deploy/ray.yaml``.

    :param arguments: the fields of :class:`RayConfig`, and under ``serve`` those of :class:`ServeConfig`.
    :raises UsageError: an unknown field, or a value out of range.
    """
    given = dict(arguments)
    try:
        config = ServeConfig(**given.pop("serve", {}))
        settings = RayConfig(**given)
    except TypeError as error:
        raise UsageError(f"the args of the application: {error}") from None
    return application(settings, config)


def application(settings: RayConfig, config: ServeConfig) -> Any:
    """A Ray Serve application whose replicas each load the models.

    :raises UsageError: a client could load a model, which one replica alone would do.
    """
    if config.loader:
        raise UsageError("--allow-load with --ray: one replica of many would load the model", hint="deploy again")
    from ray import serve

    def replica_app() -> FastAPI:
        models = {
            name: load_model(open_source(folder), device=settings.device, threads=settings.threads)
            for name, folder in settings.models.items()
        }
        return build_app(models, config)

    @serve.ingress(replica_app)
    class Replica:
        app: FastAPI

        async def check_health(self) -> None:
            """Ray sends requests after the first check, and replaces a replica that fails three."""
            await self.app.state.engine.started()
            if self.app.state.engine.state == "dead":
                raise RuntimeError("the inference engine has died")

    deployment = serve.deployment(
        name=NAME,
        max_ongoing_requests=_ONGOING,
        max_queued_requests=_QUEUED,
        backpressure_config={"status_code": 429, "retry_after_s": 1},
        autoscaling_config={
            "min_replicas": settings.replicas,
            "max_replicas": settings.most,
            "target_ongoing_requests": _BATCHES_BEFORE_SCALING * config.max_batch,
        },
        ray_actor_options={"num_cpus": settings.threads, "num_gpus": int(provider_of(settings.device).is_gpu)},
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=config.drain_seconds + 1,
    )
    return deployment(Replica).bind()


def run_on_ray(settings: RayConfig, config: ServeConfig) -> None:
    """Serve until SIGTERM or SIGINT, on the cluster that ``RAY_ADDRESS`` names, or else on one of this machine alone.

    On the signal nothing more is accepted and what is in flight is answered for as long as ``drain_seconds``.

    :raises UsageError: the port is 0, which every machine of a cluster would understand in its own way.
    :raises ModuleNotFoundError: Ray is not installed.
    """
    if not config.port:
        raise UsageError("--port 0 with --ray: expected a port that is the same on every machine")
    import ray
    from ray import serve

    app = application(settings, config)
    stop = threading.Event()
    ray.init(include_dashboard=False, log_to_driver=False)
    # After Ray, which takes these signals for itself.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # Its own limit, 408, is behind the deadline of the application, 504.
        timeout = config.timeout_seconds + config.drain_seconds
        serve.start(http_options={"host": config.host, "port": config.port, "request_timeout_s": timeout})
        serve.run(app, name=NAME)
        names = ", ".join(settings.models)
        sys.stderr.write(f"serving {names} on http://{config.host}:{config.port} with Ray (docs: /docs)\n")
        sys.stderr.flush()
        stop.wait()
        serve.delete(NAME)
    finally:
        ray.shutdown()

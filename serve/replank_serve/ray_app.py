"""Ray Serve: replicas on several machines, with the HTTP application as their ingress.

Ray starts, scales, restarts and drains the replicas; each forms its own batches, like a single server.
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
from replank.runtime.load import load_model
from replank.runtime.providers import Device, provider_of
from replank.system.errors import FieldError, UsageError
from replank_serve.app import build_app
from replank_serve.http.config import ServeConfig

NAME = "replank"
# Limits on a replica's requests, above the engine's own limit, which counts tokens.
_ONGOING = 256
_QUEUED = 256
# Ongoing requests per replica, in full batches, above which another replica is started.
_BATCHES_BEFORE_SCALING = 2


@dataclasses.dataclass(frozen=True)
class RayConfig:
    """The replicas: their models and their number.

    :param models: folders by name, on a file system that all machines of the cluster share.
    :param device: execution provider; each replica on a GPU has one GPU.
    :param threads: cores per replica.
    :param replicas: minimum number of replicas.
    :param max_replicas: maximum number of replicas under load; ``None`` is ``replicas``.
    :raises FieldError: a value out of range.
    """

    models: Mapping[str, str]
    device: Device = "cpu"
    threads: int = 1
    replicas: int = 1
    max_replicas: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "replicas"):
            if getattr(self, name) < 1:
                raise FieldError(name, getattr(self, name), "at least 1")
        provider_of(self.device)
        if self.most < self.replicas:
            raise FieldError("max_replicas", self.most, f"at least {self.replicas}, the number of `replicas`")

    @property
    def most(self) -> int:
        """The maximum number of replicas."""
        return self.max_replicas or self.replicas


def build(arguments: dict[str, Any]) -> Any:
    """The application for Ray's ``serve deploy``, which passes the ``args`` of its file; see ``deploy/ray.yaml``.

    :param arguments: the fields of :class:`RayConfig`, with those of :class:`ServeConfig` under ``serve``.
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
    """A Ray Serve application; each replica loads all models.

    :raises UsageError: clients may load models, which only one replica would do.
    """
    if config.loader:
        raise UsageError(
            "`allow_load` does not work with `ray`: only one of the replicas would load the model", hint="deploy again"
        )
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
            """Ray routes requests to a replica after its first check, and replaces it after three failures."""
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
    """Serve until SIGTERM or SIGINT, on the cluster that ``RAY_ADDRESS`` names, else on a local one.

    On the signal the replicas refuse new requests and answer admitted ones for up to ``drain_seconds``.

    :raises FieldError: the port is 0; each machine of the cluster would pick another one.
    :raises ModuleNotFoundError: Ray is not installed.
    """
    if not config.port:
        raise FieldError("port", config.port, "the same port on every machine")
    import ray
    from ray import serve

    app = application(settings, config)
    stop = threading.Event()
    ray.init(include_dashboard=False, log_to_driver=False)
    # After ray.init, which installs its own handlers.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # Ray's timeout, 408, must come after the application's deadline, 504.
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

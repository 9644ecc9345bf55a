"""The windows of a big file on Ray Data: each actor loads the model once and writes its parts itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replank.batch.file import Window
from replank.batch.run import Plan
from replank.runtime.providers import Device, provider_of
from replank.system.progress import progress


def run_on_ray(folder: Path, plan: Plan, windows: list[Window], *, device: Device, threads: int) -> Iterator[int]:
    """Answer windows wherever the cluster has room. Ray repeats what a lost worker was at.

    What travels is where a window begins; a worker reads it itself, and all machines see the same files.

    :param folder: the model, by an absolute path.
    :param threads: cores of one worker.
    :raises ModuleNotFoundError: Ray is not installed.
    """
    import ray

    if not windows:
        return
    ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    try:
        most = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        data = ray.data.from_items([asdict(window) for window in windows], override_num_blocks=len(windows))
        answered = data.map_batches(
            Worker,
            fn_constructor_args=(folder, plan, device, threads),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(windows))),
            num_cpus=threads,
            num_gpus=int(provider_of(device).is_gpu),
        )
        with progress("batch", sum(window.rows for window in windows)) as advance:
            for row in answered.iter_rows():
                advance(row["rows"])
                yield row["rows"]
    finally:
        ray.shutdown()


class Worker:
    """A model in a process of Ray's.

    :param plan: read and written by paths that this machine sees too.
    """

    def __init__(self, folder: Path, plan: Plan, device: Device, threads: int) -> None:
        from replank.models.source import open_source
        from replank.runtime.model import load_model

        self._plan = plan
        self._model = load_model(open_source(folder), device=device, threads=threads)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer the windows of a batch, columns of :class:`Window`."""
        for values in zip(*batch.values(), strict=True):
            window = Window(**{name: int(value) for name, value in zip(batch, values, strict=True)})
            self._plan.answer(self._model, window)
        return {"rows": batch["rows"]}

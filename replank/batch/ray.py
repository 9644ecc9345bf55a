"""A runner of batch jobs on Ray Data: each actor loads the model once and writes its parts itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replank.batch.job import BatchJob
from replank.batch.windows import Window
from replank.models.source import Source
from replank.runtime.providers import Device, provider_of
from replank.system.errors import FieldError
from replank.system.extras import require
from replank.system.progress import progress


@dataclass(frozen=True)
class OnRay:
    """A runner on a cluster whose machines all see the model, the file and the output under the same paths.

    Ray repeats the windows of a lost worker.

    :param device: a provider by name: machines may differ, so that none is chosen for all of them.
    :param threads: cores of one worker.
    """

    device: Device
    threads: int = 1

    def __post_init__(self) -> None:
        if self.device == "auto":
            raise FieldError("device", "auto", "a device by name, since the machines of a cluster may differ")

    def __call__(self, source: Source, job: BatchJob, windows: list[Window]) -> Iterator[int]:
        """See :data:`replank.batch.run.Runner`.

        :raises MissingExtraError: Ray is not installed.
        """
        require("ray")
        import ray

        if not windows:
            return
        ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
        try:
            with progress("batch", sum(window.rows for window in windows)) as advance:
                for rows in self._answer(source.folder.resolve(), job, windows):
                    advance(rows)
                    yield rows
        finally:
            ray.shutdown()

    def _answer(self, folder: Path, job: BatchJob, windows: list[Window]) -> Iterator[int]:
        """Starts of windows, which travel; a worker reads their rows itself."""
        import ray

        most = max(1, int(ray.cluster_resources().get("CPU", 1)) // self.threads)
        data = ray.data.from_items([asdict(window) for window in windows], override_num_blocks=len(windows))
        answered = data.map_batches(
            Worker,
            fn_constructor_args=(folder, job, self.device, self.threads),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(windows))),
            num_cpus=self.threads,
            num_gpus=1 if provider_of(self.device).is_gpu else 0,
        )
        for row in answered.iter_rows():
            yield row["rows"]


class Worker:
    """A model in a process of Ray's.

    :param folder: the model, by a path that this machine sees too, as are those of the job.
    """

    def __init__(self, folder: Path, job: BatchJob, device: Device, threads: int) -> None:
        from replank.models.source import open_source
        from replank.runtime.load import load_model

        self._job = job
        self._model = load_model(open_source(folder), device=device, threads=threads)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer the windows of a batch, columns of :class:`Window`."""
        for values in zip(*batch.values(), strict=True):
            window = Window(**{name: int(value) for name, value in zip(batch, values, strict=True)})
            self._job.answer(self._model, window)
        return {"rows": batch["rows"]}

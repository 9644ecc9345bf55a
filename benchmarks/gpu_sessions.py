"""A session as the runtime has it, with inputs and outputs bound to buffers on the device, and as CUDA graphs.

All begin and end with arrays on the host. A CUDA graph is of one shape, so that texts of other lengths must be padded
to the next one there is: that is measured too, on batches of many lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from interleaved import time_in_turn
from replank.runtime.model import Model
from replank.runtime.providers import provider_of
from replank.runtime.session import open_session
from replank.runtime.timing import random_batch

Feeds = dict[str, NDArray[np.int64]]
Run = Callable[[Feeds], NDArray[np.float32]]
_BATCHES, _ROWS = 24, 8
_BUCKETS = 4


class Bound:
    """Inputs and logits of one shape in buffers on the device, written and read in each run.

    :param graph: the number of its CUDA graph; ``None``: no graph is captured.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        device: str,
        shape: tuple[int, int],
        outputs: int,
        graph: int | None = None,
    ) -> None:
        # An array for each: on the CPU a value is the array's own memory.
        self._inputs = {
            node.name: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.int64), device, 0)
            for node in session.get_inputs()
        }
        self._logits = onnxruntime.OrtValue.ortvalue_from_shape_and_type((shape[0], outputs), np.float32, device, 0)
        self._session, self._binding = session, session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output("logits", self._logits)
        self._options = onnxruntime.RunOptions()
        if graph is not None:
            self._options.add_run_config_entry("gpu_graph_id", str(graph))

    def __call__(self, feeds: Feeds) -> NDArray[np.float32]:
        """Run one batch; it returns when the logits are on the host."""
        for name, value in self._inputs.items():
            value.update_inplace(feeds[name])
        self._session.run_with_iobinding(self._binding, self._options)
        return np.array(self._logits.numpy())


class Graphs:
    """CUDA graphs of a session, one for each shape, captured at its first run."""

    def __init__(self, path: Path, device: str, outputs: int) -> None:
        self._session = session_with(path, device, {"enable_cuda_graph": "1"})
        self._device, self._outputs = device, outputs
        self._of: dict[tuple[int, int], Bound] = {}

    def __call__(self, feeds: Feeds) -> NDArray[np.float32]:
        """Run one batch by the graph of its shape."""
        rows, length = feeds["input_ids"].shape
        if (rows, length) not in self._of:
            number = len(self._of) + 1
            self._of[rows, length] = Bound(self._session, self._device, (rows, length), self._outputs, number)
        return self._of[rows, length](feeds)


def time_sessions(model: Model, shapes: Sequence[tuple[int, int]], *, rounds: int, seconds: float) -> dict[str, Any]:
    """Each way at each shape, and on batches of many lengths."""
    path, device, outputs = model.source.model_file, model.device, model.task.outputs
    left_out = {}
    plain = partial(_plain, open_session(path, device=device))
    ways: dict[str, Run] = {"plain": plain}
    if device == "cuda":
        # What the runtime asks of norms, and what onnxruntime does by itself.
        ways["fp16 sums in norms"] = partial(
            _plain, session_with(path, device, {"enable_skip_layer_norm_strict_mode": "0"})
        )
    graphs = None
    try:
        graphs = _tried(Graphs(path, device, outputs), _feeds(model, *shapes[0]))
    except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
        left_out["CUDA graph"] = str(error)
    bound = open_session(path, device=device)
    cells = []
    for shape in shapes:
        feeds = _feeds(model, *shape)
        here = ways | {"bound": Bound(bound, device, shape, outputs)} | ({"CUDA graph": graphs} if graphs else {})
        expected = plain(feeds)
        cells.append(
            {
                "batch_size": shape[0],
                "length": shape[1],
                "differences": {name: float(np.abs(run(feeds) - expected).max()) for name, run in here.items()},
                "ways": time_in_turn(
                    {name: partial(run, feeds) for name, run in here.items()}, shape[0], rounds=rounds, seconds=seconds
                ),
            }
        )
    longest = max(length for _, length in shapes)
    return {"left_out": left_out, "shapes": cells, "lengths": _many_lengths(model, longest, plain, graphs, rounds)}


def session_with(path: Path, device: str, changes: dict[str, str]) -> onnxruntime.InferenceSession:
    """A session on a provider with other options than the runtime's.

    :raises Exception: onnxruntime's own, of options that the provider does not have.
    """
    provider = provider_of(device)
    if device != "cuda":
        raise ValueError(f"{provider.name} has no {', '.join(changes)}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    chosen = [(provider.name, provider.options(1) | changes)]
    return onnxruntime.InferenceSession(str(path), options, providers=chosen, enable_fallback=0)


def _many_lengths(model: Model, longest: int, plain: Run, graphs: Run | None, rounds: int) -> dict[str, Any]:
    """Batches of all lengths: as they are, padded to the next of a few lengths, and so padded by CUDA graphs."""
    buckets = [longest * (number + 1) // _BUCKETS for number in range(_BUCKETS)]
    generator = np.random.default_rng(0)
    own = [_feeds(model, _ROWS, int(length)) for length in generator.integers(2, longest + 1, _BATCHES)]
    padded = [_padded(feeds, next(size for size in buckets if size >= feeds["input_ids"].shape[1])) for feeds in own]
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: [plain(feeds) for feeds in own],
        "plain, padded": lambda: [plain(feeds) for feeds in padded],
    }
    if graphs:
        ways["CUDA graph, padded"] = lambda: [graphs(feeds) for feeds in padded]
    timed = time_in_turn(ways, _BATCHES * _ROWS, rounds=rounds, seconds=0.0)
    return {"buckets": buckets, "batches": _BATCHES, "rows": _ROWS, "ways": timed}


def _plain(session: onnxruntime.InferenceSession, feeds: Feeds) -> NDArray[np.float32]:
    names = {node.name for node in session.get_inputs()}
    (logits,) = session.run(["logits"], {name: array for name, array in feeds.items() if name in names})
    return np.asarray(logits)


def _tried(run: Graphs, feeds: Feeds) -> Graphs:
    """Graphs, after a first one was captured and run."""
    run(feeds)
    run(feeds)
    return run


def _feeds(model: Model, rows: int, length: int) -> Feeds:
    return random_batch(model, rows, length, seed=length).inputs()


def _padded(feeds: Feeds, length: int) -> Feeds:
    """The same batch with padding on the right."""
    return {name: np.pad(array, ((0, 0), (0, length - array.shape[1]))) for name, array in feeds.items()}

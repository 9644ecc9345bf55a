"""A look ahead: whether what a chain trains can become a graph at all."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from replank.models.source import Source
from replank.tasks.task import Task

if TYPE_CHECKING:
    from replank_export.convert import ExportConfig

# As many as show each kind of layer and what stands between two of them.
_LAYERS = 2


def require_exportable(encoder: Source, config: ExportConfig, task: Task) -> None:
    """Export an untrained model of an encoder's first layers, so that nobody learns after the training that it cannot.

    :param encoder: an encoder, or a fine-tuned model.
    :raises ModelError: it cannot be exported.
    """
    from replank_compress.truncated import truncated
    from replank_export.probe import export_probe

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "onnx").mkdir()
        layers = min(_LAYERS, encoder.layers)
        model = truncated(encoder, layers, folder / "torch", None if encoder.is_fine_tuned else task)
        # Errors are told of the model that the user named.
        export_probe(replace(model, name=encoder.name), folder / "onnx", config, task)

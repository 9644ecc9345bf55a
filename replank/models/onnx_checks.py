"""ONNX graphs that replank did not make, such as Optimum's: what they must look like to be run here.

ONNX Runtime's session tells names and shapes, but not the version of the operators, and of a file that is cut off it
says only that it cannot be parsed. Both stand in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replank.models.onnx_file import opset_of
from replank.models.weights import require_content
from replank.system.errors import ModelError
from replank.tasks.kinds import Kind
from replank.text.padding import INPUT_NAMES, REFERENCE_NAMES

if TYPE_CHECKING:
    import onnxruntime

_OLDEST_OPSET = 11
_EXPORT_AGAIN = "export it again: replank export MODEL OUT, or optimum-cli export onnx --model MODEL OUT"


def require_sound_file(path: Path) -> None:
    """Refuse a file that is no ONNX graph, is cut off, or is of operators that are too old.

    :param path: of the graph, which is passed over and not read, however large.
    :raises ModelError: with what is wrong.
    """
    require_content(path)
    size = path.stat().st_size
    try:
        opset = opset_of(path)
    except EOFError:
        raise ModelError(f"{path} is cut off after {size} bytes", hint="copy it again") from None
    except ValueError:
        raise ModelError(f"{path} is no ONNX graph", hint=_EXPORT_AGAIN) from None
    if opset < _OLDEST_OPSET:
        raise ModelError(f"{path} is of opset {opset}; expected {_OLDEST_OPSET} or newer", hint=_EXPORT_AGAIN)


def require_interface(
    session: onnxruntime.InferenceSession, name: str, kind: Kind, *, takes_references: bool = False
) -> None:
    """Refuse a graph that does not take token ids under the usual names, or does not give the task's answers.

    :param name: the model's, for the message.
    :param kind: what the model is asked for.
    :param takes_references: whether the model has references, for which the graph must have inputs too.
    :raises ModelError: with what the graph takes or gives, and what was expected.
    """
    inputs = {node.name: node for node in session.get_inputs()}
    references = set(REFERENCE_NAMES if takes_references else ())
    if not {*INPUT_NAMES[:2], *references} <= set(inputs) <= {*INPUT_NAMES, *references}:
        also = f", and {', '.join(REFERENCE_NAMES)}" if takes_references else ""
        raise ModelError(
            f"the graph of {name} takes {', '.join(inputs)}; expected {', '.join(INPUT_NAMES)}, the last if at all"
            f"{also}",
            hint=_EXPORT_AGAIN,
        )
    for node in inputs.values():
        if node.name not in REFERENCE_NAMES and (
            node.type != "tensor(int64)" or any(isinstance(size, int) for size in node.shape)
        ):
            raise ModelError(
                f"the graph of {name} takes {node.name} as {node.type} of shape {node.shape}; "
                "expected int64 of any batch and length",
                hint=_EXPORT_AGAIN,
            )
    outputs = [node.name for node in session.get_outputs()]
    if kind.output not in outputs:
        raise ModelError(
            f"the graph of {name} gives {', '.join(outputs)}; expected {kind.output}",
            hint="export the model with its head: optimum-cli export onnx --task text-classification …",
        )

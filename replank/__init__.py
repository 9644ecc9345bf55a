"""replank: halve the layers of an encoder, export it to ONNX, quantize it, prove it right, serve it."""

from importlib.util import find_spec
from pathlib import Path

_here = Path(__file__).parent.parent
for _name in ("compress", "export", "serve"):
    _spec = find_spec(_name)
    if _spec is None or _spec.origin is None or Path(_spec.origin).parent.parent != _here:
        # A folder or file of the same name in the working directory would be imported in place of ours.
        raise ImportError(
            f"replank's package {_name!r} is hidden by {_spec.origin if _spec else 'nothing'}; "
            "run the `replank` command instead of `python -m`, or from another folder"
        )

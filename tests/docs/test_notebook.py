"""The notebook of the documentation, executed as Jupyter does, on few rows and one epoch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from documents import NOTEBOOK, read

TINY = """
ROWS = {"train": 64, "dev": 24, "test": 24}
EPOCHS, MAX_LENGTH, MAX_DROP = 1, 16, 1.0
"""


@pytest.mark.notebook
def test_the_notebook_runs_from_beginning_to_end(tmp_path: Path) -> None:
    notebook = json.loads(read(NOTEBOOK))
    (parameters,) = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    parameters["source"].append(TINY)
    file = tmp_path / NOTEBOOK.name
    file.write_text(json.dumps(notebook), encoding="utf-8")
    command: list[str | Path] = [Path(sys.executable).with_name("jupyter-execute"), "--inplace", "--timeout=600", file]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    outputs = [
        "".join(output.get("text", ()))
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
    ]
    answers, differences = outputs[-2:]
    assert re.fullmatch(r"((negative|neutral|positive) +[01]\.\d\d  .+\n){3}", answers)
    assert re.match(r"accuracy (no difference is shown|[AB] is better)", differences)
    assert (tmp_path / "first-model" / "int8" / "model.onnx").exists()

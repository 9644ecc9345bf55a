"""The program that documentation spells requests for."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest


def curl(url: str, body: object) -> tuple[int, Any]:
    """The answer to one of the commands in text-embeddings-inference's documentation."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    json_header = ["-H", "Content-Type: application/json"]
    command = ["curl", "-s", "-w", "\n%{http_code}", url, "-X", "POST", "-d", json.dumps(body), *json_header]
    answer, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), json.loads(answer)

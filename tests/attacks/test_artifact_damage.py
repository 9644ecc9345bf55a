"""Artifacts that are not as they were written: one bit, one file, one line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from manifests import names
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, manifest_text
from replank.system.errors import ArtifactError

TORCH_FILES = (
    "README.md",
    "answers.json",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "training.svg",
)


ONNX_FILES = (
    "README.md",
    "answers.json",
    "config.json",
    "model.onnx",
    "ort_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


# Reading


@pytest.fixture
def torch_copy(predecessor: Path, tmp_path: Path) -> Path:
    return shutil.copytree(predecessor, tmp_path / "model")


@pytest.fixture
def onnx_copy(int8_artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(int8_artifact, tmp_path / "model")


def test_the_files_named_here_are_all_files(predecessor: Path, int8_artifact: Path) -> None:
    for folder, files in ((predecessor, TORCH_FILES), (int8_artifact, ONNX_FILES)):
        assert sorted(Artifact.open(folder).manifest.files) == sorted(files)
        assert names(folder) == sorted([*files, MANIFEST])


def flip_one_bit(file: Path, generator: random.Random) -> bytes:
    """Flip it, and give the content as it was."""
    content = file.read_bytes()
    position = generator.randrange(len(content))
    damaged = bytearray(content)
    damaged[position] ^= 1 << generator.randrange(8)
    file.write_bytes(damaged)
    return content


@pytest.mark.parametrize("name", [*TORCH_FILES, MANIFEST])
def test_one_flipped_bit_in_a_torch_artifact_is_noticed(torch_copy: Path, name: str) -> None:
    check_flipped_bits(torch_copy, name)


@pytest.mark.parametrize("name", [*ONNX_FILES, MANIFEST])
def test_one_flipped_bit_in_an_onnx_artifact_is_noticed(onnx_copy: Path, name: str) -> None:
    check_flipped_bits(onnx_copy, name)


def check_flipped_bits(folder: Path, name: str) -> None:
    generator = random.Random(name)  # noqa: S311 - positions to damage, no secret
    for _ in range(100 if name == MANIFEST else 20):
        whole = flip_one_bit(folder / name, generator)
        with pytest.raises(ArtifactError, match=f"{folder / name} (is damaged|has schema)"):
            Artifact.open(folder)
        (folder / name).write_bytes(whole)
    Artifact.open(folder)


@pytest.mark.parametrize("name", TORCH_FILES)
def test_a_missing_file_is_named(torch_copy: Path, name: str) -> None:
    (torch_copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{torch_copy / name} is missing"):
        Artifact.open(torch_copy)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"null", b"[" * 100_000, b'{"schema": 1}'])
def test_what_is_no_manifest_is_damaged(torch_copy: Path, content: bytes) -> None:
    (torch_copy / MANIFEST).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{torch_copy / MANIFEST} is damaged"):
        Artifact.open(torch_copy)


def test_an_edited_manifest_is_noticed(torch_copy: Path) -> None:
    file = torch_copy / MANIFEST
    text = file.read_text(encoding="utf-8")
    assert text.count('"kind": "torch"') == 1
    file.write_text(text.replace('"kind": "torch"', '"kind": "onnx"'), encoding="utf-8")
    with pytest.raises(ArtifactError, match="was edited: its checksum does not match"):
        Artifact.open(torch_copy)


def test_an_unknown_schema_names_both(torch_copy: Path) -> None:
    file = torch_copy / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"schema": 99}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="has schema 99; this replank reads schema 1") as refusal:
        Artifact.open(torch_copy)
    assert refusal.value.hint == "use the replank that wrote it"


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the manifest and give it a checksum that fits, as whoever knows the format can."""
    values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    without = {"checksum", *(key for key, value in changes.items() if value is None)}
    kept = {key: value for key, value in (values | changes).items() if key not in without}
    (folder / MANIFEST).write_text(manifest_text(kept), encoding="utf-8")


@pytest.mark.parametrize("key", ["kind", "precision", "task", "made_by"])
def test_a_right_checksum_over_a_missing_fact(torch_copy: Path, key: str) -> None:
    rewrite(torch_copy, **{key: None})
    with pytest.raises(ArtifactError, match=f"cannot be read: {key} is missing"):
        Artifact.open(torch_copy)


def test_a_manifest_that_lists_nothing_verifies_nothing(torch_copy: Path) -> None:
    rewrite(torch_copy, files={})
    with pytest.raises(ArtifactError, match=r"lists no model\.safetensors: nothing would be checked"):
        Artifact.open(torch_copy)


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "tokenizer.json"])
def test_a_manifest_that_leaves_one_file_out(onnx_copy: Path, name: str) -> None:
    files = json.loads((onnx_copy / MANIFEST).read_text(encoding="utf-8"))["files"]
    del files[name]
    rewrite(onnx_copy, files=files)
    with pytest.raises(ArtifactError, match=rf"lists no model\.onnx: nothing|{name} is no file of the artifact"):
        Artifact.open(onnx_copy)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "sub/model.onnx", ""])
def test_a_file_outside_the_folder_is_not_followed(onnx_copy: Path, name: str) -> None:
    values = json.loads((onnx_copy / MANIFEST).read_text(encoding="utf-8"))
    rewrite(onnx_copy, files=values["files"] | {name: {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(ArtifactError, match=f"lists '{name}'; expected names of files in the folder"):
        Artifact.open(onnx_copy)


@pytest.mark.parametrize("name", ["added_tokens.json", "special_tokens_map.json", "vocab.txt", "model.safetensors"])
def test_a_file_that_nobody_listed_is_not_read(onnx_copy: Path, name: str) -> None:
    (onnx_copy / name).write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=f"{name} is no file of the artifact, and may change what the model"):
        Artifact.open(onnx_copy)


def test_files_that_nothing_reads_may_lie_there(onnx_copy: Path) -> None:
    for name in (".gitattributes", "notes.md", "chart.png"):
        (onnx_copy / name).write_text("mine", encoding="utf-8")
    (onnx_copy / "sub").mkdir()
    Artifact.open(onnx_copy)


def test_a_plain_folder_is_no_artifact(encoder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no replank artifact: it has no replank\.json"):
        Artifact.open(encoder)

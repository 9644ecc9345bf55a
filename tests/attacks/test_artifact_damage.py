"""Artifacts that are not as they were written: one bit, one file, one line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from manifests import names
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST
from replank.system.errors import ArtifactError

TORCH_FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "training.svg",
)


ONNX_FILES = ("README.md", "config.json", "model.onnx", "ort_config.json", "tokenizer.json", "tokenizer_config.json")


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


def test_a_plain_folder_is_no_artifact(encoder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no replank artifact: it has no replank\.json"):
        Artifact.open(encoder)

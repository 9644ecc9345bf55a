"""The file that repeats a run, ``run.yaml``: its encoder, its folder, its settings and its data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replank.chain.plan import RunConfig
from replank.data.config import DataConfig
from replank.models.source import Source
from replank.system.errors import UsageError
from replank.system.files import replace_file
from replank.system.settings_file import (
    Entry,
    is_path_setting,
    read_settings_file,
    setting_names,
    typed_values,
    values_of_file,
)

RUN_FILE = "run.yaml"
_HEADER = "# replank run --config"


@dataclass(frozen=True)
class RunRequest:
    """A run as it was asked for.

    :param encoder: folder or hub name.
    :param data: ``None`` for a model that was made for a GLUE data set: that one.
    """

    encoder: str | Path
    out: Path
    config: RunConfig
    data: DataConfig | None


def read_run_file(
    file: Path,
    encoder: str | Path | None = None,
    out: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> RunRequest:
    """The run that a file asks for.

    Its keys are ``encoder``, ``out``, the settings of :class:`RunConfig`, and ``data`` with those of
    :class:`DataConfig`. Relative paths are relative to the file.

    :param encoder: instead of the file's; ``out`` likewise.
    :param settings: values instead of the file's, by their names.
    :param data: likewise.
    :raises UsageError: with line and key: a key that is none, a value that cannot be one; or no encoder or ``out``.
    """
    own = setting_names(RunConfig)
    entries = read_settings_file(file).entries(("encoder", "out", *own, "data"))
    data_entries = entries["data"].entries(setting_names(DataConfig)) if "data" in entries else {}
    values = typed_values(RunConfig, {name: entry for name, entry in entries.items() if name in own})
    of_data = typed_values(DataConfig, data_entries)
    with values_of_file(file, _kept(entries, settings)):
        config = RunConfig(**values | dict(settings or {}))
    with values_of_file(file, _kept(data_entries, data)):
        data_config = DataConfig(**of_data | dict(data or {})) if of_data or data else None
    return RunRequest(
        encoder or _required(file, entries, "encoder", str | Path),
        out or _required(file, entries, "out", Path),
        config,
        data_config,
    )


def write_run_file(out: Path, encoder: Source, config: RunConfig, data: DataConfig) -> None:
    """Write the file that repeats a run into its folder, where it can be moved with it.

    A path is written as it was given: an absolute one as it is, another one relative to the file. Of a hub model the
    commit is written that was used. A file that asks for the same stays as it is.
    """
    import yaml

    def written(path: Path) -> str:
        return str(path) if path.is_absolute() else os.path.relpath(path.resolve(), out.resolve())

    name = written(Path(encoder.name)) if Path(encoder.name).exists() else encoder.commit_name
    values = {"encoder": name, "out": ".", **_values(config, written), "data": _values(data, written)}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000)
    file = out / RUN_FILE
    if not (file.exists() and _asks_for(file, encoder, out, config, data)):
        replace_file(file, f"{_HEADER} {RUN_FILE}\n{text}")


def require_own_run_file(out: Path, encoder: Source, config: RunConfig, data: DataConfig) -> None:
    """Refuse, before any work, a file of the name that no run wrote and that asks for something else.

    :raises UsageError: it is there.
    """
    file = out / RUN_FILE
    if not file.exists() or _asks_for(file, encoder, out, config, data):
        return
    if not file.read_text(encoding="utf-8", errors="replace").startswith(_HEADER):
        raise UsageError(f"{file} is not of a run", hint="choose another `out`, or move it away")


def _kept(entries: Mapping[str, Entry], given: Mapping[str, Any] | None) -> dict[str, Entry]:
    """The values of a file that nothing else was given for."""
    return {name: entry for name, entry in entries.items() if name not in (given or {})}


def _required(file: Path, entries: Mapping[str, Entry], name: str, hint: Any) -> Any:
    if name not in entries:
        raise UsageError(f"{file} has no key {name}", hint=f"add a line that begins with {name}:, or give `{name}`")
    return entries[name].read(hint)


def _asks_for(file: Path, encoder: Source, out: Path, config: RunConfig, data: DataConfig) -> bool:
    """Whether a file asks for this very run."""
    try:
        asked = read_run_file(file)
    except UsageError:
        return False
    is_encoder = str(asked.encoder) in (encoder.name, encoder.commit_name) or _is_same(asked.encoder, encoder.name)
    settings = (_values(asked.config, _resolved), asked.data and _values(asked.data, _resolved))
    return (
        is_encoder and _is_same(asked.out, out) and settings == (_values(config, _resolved), _values(data, _resolved))
    )


def _is_same(one: str | Path, other: str | Path) -> bool:
    return _resolved(Path(one)) == _resolved(Path(other))


def _resolved(path: Path) -> str:
    return str(path.resolve())


def _values(config: RunConfig | DataConfig, write: Callable[[Path], str]) -> dict[str, Any]:
    """The settings that have a value, as YAML takes them.

    :param write: a path as text.
    """
    values: dict[str, Any] = {}
    for name, value in vars(config).items():
        if value is None or value is False:
            continue
        is_path = isinstance(value, os.PathLike) or is_path_setting(type(config), name)
        values[name] = write(Path(value)) if is_path else list(value) if isinstance(value, tuple) else value
    return values

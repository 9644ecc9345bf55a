"""Command-line options made from the settings of configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field
from typing import TYPE_CHECKING, Any

import click

from replank.cli.command import Option
from replank.cli.option_types import click_type
from replank.system.errors import UsageError
from replank.system.settings import settings_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = type[DataclassInstance]

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def config_options(config: Config, *, leave_out: Sequence[str] = (), heading: str = "Options") -> Decorator:
    """Options for the settings of one configuration.

    :param config: the command gets ``config_of(config, values)``'s arguments by their field names.
    :param leave_out: settings that the command decides itself.
    :param heading: of the help, that they stand under.
    """
    entries = [entry for entry in _flat_settings(config) if entry.name not in leave_out]
    return _together([_option(config, entry, {}, {}, heading) for entry in entries])


def variant_options(name: str, variants: Mapping[str, Config], default: str, help_text: str) -> Decorator:
    """An option that chooses among configurations, and options for the settings of all of them.

    :param name: of the choice, such as ``method``.
    :param variants: the configurations by the names that a person chooses from.
    """
    described = ". ".join([help_text, *(f"{variant}: {_summary(config)}" for variant, config in variants.items())])
    choice = Option(
        [f"--{_dashed(name)}", name],
        type=click.Choice(list(variants)),
        default=default,
        show_default=True,
        help=described,
    )
    return _together([choice, *_options_of(variants)])


def switch_options(name: str, variants: Mapping[str, Config], help_text: str) -> Decorator:
    """A flag that chooses the second of two configurations, and options for the settings of both.

    :param name: of the flag and of the second one; the command gets the chosen one's name.
    """
    off, on = variants
    flag = Option([f"--{_dashed(name)}", name], is_flag=True, flag_value=on, default=off, type=str, help=help_text)
    return _together([flag, *_options_of(variants)])


def config_of(config: Config, values: Mapping[str, Any]) -> Any:
    """A configuration of the values that were given; those that were not are ``None`` and keep their defaults.

    :raises UsageError: a value that the configuration refuses.
    """
    # A repeatable option that was not given is an empty tuple.
    given = {name: value for name, value in values.items() if value not in (None, ())}
    arguments: dict[str, Any] = {}
    for entry in dataclasses.fields(config):
        if variants := entry.metadata.get("variants"):
            own = {name for kind in variants.values() for name in _names(kind)}
            inner = {name: given.pop(name) for name in own & given.keys()}
            chosen = given.pop(entry.name, None)
            if chosen or inner:
                arguments[entry.name] = config_of(variants[chosen] if chosen else _default_type(entry), inner)
        elif entry.name in given:
            arguments[entry.name] = given[entry.name]
    return config(**arguments)


def variant_of(name: str, variants: Mapping[str, Config], chosen: str, values: Mapping[str, Any]) -> Any:
    """The chosen configuration of the values that were given.

    :raises UsageError: a setting of another variant was given; it is refused, not passed over.
    """
    given = {field: value for field, value in values.items() if value not in (None, ())}
    own = {entry.name for entry in _flat_settings(variants[chosen])}
    for field in sorted(given.keys() - own):
        owners = [variant for variant, config in variants.items() if field in _names(config)]
        if owners:
            raise UsageError(
                f"`{field}` is a setting of {', '.join(f'`{name}={owner}`' for owner in owners)}, not of {chosen}",
                hint=f"leave it out, or add `{name}={owners[0]}`",
            )
    return config_of(variants[chosen], given)


def flag_of(entry: Field[Any]) -> str:
    """The long option of a setting."""
    return f"--{entry.metadata.get('flag') or _dashed(entry.name)}"


def _options_of(variants: Mapping[str, Config]) -> list[Option]:
    """Options for the settings of several configurations."""
    seen: dict[str, dict[str, Config]] = {}
    for variant, config in variants.items():
        for entry in _flat_settings(config):
            seen.setdefault(entry.name, {})[variant] = config
    entries = {entry.name: entry for config in variants.values() for entry in _flat_settings(config)}
    return [
        _option(next(iter(owners.values())), entries[field], owners if len(owners) < len(variants) else {}, owners)
        for field, owners in seen.items()
    ]


def _flat_settings(config: Config) -> Iterator[Field[Any]]:
    """The settings of a configuration, with those of its variants' configurations."""
    for entry in settings_of(config):
        yield entry
        inner: dict[str, Field[Any]] = {}
        for variant in (entry.metadata.get("variants") or {}).values():
            inner |= {other.name: other for other in settings_of(variant)}
        yield from inner.values()


def _names(config: Config) -> set[str]:
    return {entry.name for entry in _flat_settings(config)}


def _option(
    config: Config,
    entry: Field[Any],
    owners: Mapping[str, Config],
    variants: Mapping[str, Config],
    heading: str = "Options",
) -> Option:
    """One option.

    :param owners: of a setting that only some variants have, those.
    :param variants: all variants that have it, whose defaults may differ.
    :param heading: of the help.
    """
    flag = flag_of(entry)
    kind, is_repeated = click_type(config, entry)
    text = f"{', '.join(owners)}: {entry.metadata['help']}" if owners else entry.metadata["help"]
    default = _default(config, entry, variants)
    settings: dict[str, Any] = {
        "help": text if default is None or "[default:" in text else f"{text} [default: {default}]"
    }
    names = [flag, entry.name]
    if kind is bool:
        # A setting that is on by default needs a way to be switched off.
        if _value(entry) is True:
            names = [f"{flag}/--no-{flag.removeprefix('--')}", entry.name]
        return Option(names, heading=heading, is_flag=True, default=None, **settings)
    return Option(names, heading=heading, type=kind, default=None, multiple=is_repeated, **settings)


def _default(config: Config, entry: Field[Any], variants: Mapping[str, Config]) -> str | None:
    """The default as the help shows it; of variants that differ, each one's."""
    shown: dict[str, list[str]] = {}
    for variant, owner in (variants or {"": config}).items():
        for inner, own in _occurrences(owner, entry.name):
            if (text := _shown(_value(own), own)) is not None:
                shown.setdefault(text, []).append(inner or variant)
    if not shown:
        return None
    if len(shown) == 1:
        return next(iter(shown))
    return ", ".join(f"{' and '.join(names)} {text}" for text, names in shown.items())


def _occurrences(config: Config, name: str) -> Iterator[tuple[str, Field[Any]]]:
    """A setting of a configuration, or of each variant in it that has the setting, with the variant's name."""
    for entry in settings_of(config):
        if entry.name == name:
            yield "", entry
        for inner, variant in (entry.metadata.get("variants") or {}).items():
            yield from ((inner, other) for other in settings_of(variant) if other.name == name)


def _shown(value: Any, entry: Field[Any]) -> str | None:
    if value is None or value is MISSING or value is False:
        return None
    if value is True:
        return "on"
    for name, variant in (entry.metadata.get("variants") or {}).items():
        if type(value) is variant:
            return str(name)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(entry: Field[Any]) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _default_type(entry: Field[Any]) -> Config:
    return type(_value(entry))


def _summary(config: Config) -> str:
    """The first sentence of a configuration's description."""
    first = (config.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(first.split()).split(". ")[0].rstrip(".")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _together(options: Sequence[Option]) -> Decorator:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        # As click's own decorators leave them: the last first.
        existing: list[click.Parameter] = getattr(command, "__click_params__", [])
        command.__click_params__ = [*existing, *reversed(options)]  # type: ignore[attr-defined]
        return command

    return decorate

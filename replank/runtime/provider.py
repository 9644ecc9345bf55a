"""The types of execution providers: built into ONNX Runtime's wheels, or a plugin in a package of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from replank.models.int8_facts import Int8Facts
from replank.system.errors import IncompatibleModelError, MissingExtraError, ProviderError
from replank.system.extras import installed_version

if TYPE_CHECKING:
    import onnxruntime

    from replank.models.source import Source

# The name of a row of :data:`~replank.runtime.providers.PROVIDERS`; ``provider_of`` checks it.
Device = str
Arithmetic = Literal["fp32", "bf16"]
ProviderArguments = list[tuple[str, dict[str, str]]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """A shared library that a provider loads.

    :param name: its product name.
    :param file: the file name that the dynamic loader searches for.
    :param hint: how to install it.
    """

    name: str
    file: str
    hint: str


def _no_options(threads: int) -> dict[str, str]:
    """Of a provider whose threads are the session's own."""
    return {}


@dataclass(frozen=True)
class Provider(ABC):
    """An execution provider.

    :param device: replank's name for it.
    :param name: ONNX Runtime's name for it.
    :param extra: the extra of replank that installs it.
    :param packages: the distributions that contain it; any one of them is enough.
    :param arithmetic: the precision in which fp32 graphs are computed.
    :param is_gpu: whether each process needs a GPU of its own.
    :param torch_device: torch's name for the same hardware; ``None`` if torch models cannot run there.
    :param refused: precisions that it cannot run.
    :param refused_operators: those that it would not run as they are meant, each with what it would do, in words.
    :param host_operators: operators that it may leave to the host; any other operator that it lacks is an error.
    :param options: its options, given the number of threads of one operator.
    :param libraries: shared libraries that it loads from outside its own package.
    """

    device: Device
    name: str
    extra: str
    packages: tuple[str, ...]
    arithmetic: Arithmetic = "fp32"
    is_gpu: bool = False
    torch_device: str | None = None
    refused: frozenset[str] = frozenset()
    refused_operators: Mapping[str, str] = field(default_factory=dict)
    host_operators: frozenset[str] = frozenset()
    options: Callable[[int], dict[str, str]] = _no_options
    libraries: tuple[Library, ...] = ()

    @property
    def setting(self) -> str:
        """The setting that selects it, as error messages show it."""
        return f"`device='{self.device}'`"

    @property
    @abstractmethod
    def missing(self) -> str | None:
        """The way to install it; ``None`` if it is installed."""

    @abstractmethod
    def attach(self, session_options: onnxruntime.SessionOptions, threads: int) -> ProviderArguments | None:
        """Make a session run on it.

        :returns: the session's ``providers`` argument; ``None`` if ``session_options`` hold everything.
        :raises MissingExtraError: its package is not installed.
        :raises ProviderError: its hardware is not present.
        """

    def preload(self) -> None:
        """Load its libraries if they come in packages of their own."""
        if not self.libraries:
            return
        import onnxruntime

        # It prints what it cannot load, where a command's data goes.
        with contextlib.redirect_stdout(io.StringIO()) as said:
            onnxruntime.preload_dlls()
        for line in said.getvalue().splitlines():
            _log.debug("%s: %s", self.name, line)

    def require_precision(self, source: Source) -> None:
        """Refuse a model of a precision that it cannot run, unless its types were chosen for it.

        :raises IncompatibleModelError: see ``refused``.
        """
        if source.precision not in self.refused or self.device == _integers_for(source):
            return
        shown = source.precision.upper()
        raise IncompatibleModelError(
            f"{source.name} is {shown}, which {self.name} cannot run", hint=f"`device='cpu'` runs {shown} models"
        )

    def require_operators(self, model: str, operators: Mapping[str, int]) -> None:
        """Refuse a graph that it would run slower than it was made for, or wrongly.

        :param operators: the number of nodes of each operator of the graph.
        :raises IncompatibleModelError: see ``refused_operators``.
        """
        for name, refusal in self.refused_operators.items():
            if name in operators:
                raise IncompatibleModelError(
                    f"{self.setting}: {model} has {operators[name]} {name}, {refusal}", hint="`device='cpu'` runs it"
                )


def _integers_for(source: Source) -> str | None:
    """The device that the types of an encoder in integers were chosen for; ``None`` of other models."""
    facts = source.manifest.made_by.facts if source.manifest else None
    return facts.integer.target if isinstance(facts, Int8Facts) and facts.integer else None


@dataclass(frozen=True)
class BuiltIn(Provider):
    """A provider compiled into one of ONNX Runtime's own wheels, of which only one can be installed."""

    @property
    def missing(self) -> str | None:
        """The way to replace the installed wheel by one with this provider."""
        import onnxruntime

        if self.name in onnxruntime.get_available_providers():
            return None
        return f'uninstall the present onnxruntime, then pip install "replank[{self.extra}]"'

    def attach(self, session_options: onnxruntime.SessionOptions, threads: int) -> ProviderArguments | None:
        """Select it by name."""
        if missing := self.missing:
            raise ProviderError(
                f"{self.setting}: this onnxruntime has no {self.name}",
                hint=f"replank doctor shows what is installed; to change it: {missing}",
            )
        self.preload()
        return [(self.name, self.options(threads))]


@dataclass(frozen=True)
class Plugin(Provider):
    """A provider in a package of its own, registered with ONNX Runtime at run time.

    :param hardware: ONNX Runtime's name for the type of device to use.
    :param capabilities_key: the entry of a device's metadata that lists the precisions it computes in.
    :param no_hardware_hint: what to try if it offers no such device.
    :param fp32_device: the device on which it computes in fp32.
    """

    hardware: Literal["CPU", "GPU", "NPU"] = "CPU"
    capabilities_key: str = ""
    no_hardware_hint: str = "`device='cpu'` runs everywhere"
    fp32_device: Device = "cpu"

    @property
    def missing(self) -> str | None:
        """The command that installs the package."""
        return None if installed_version(self.packages[0]) else f'pip install "replank[{self.extra}]"'

    def attach(self, session_options: onnxruntime.SessionOptions, threads: int) -> ProviderArguments | None:
        """Register the library, then select its device, which exists only after the registration."""
        package = self.packages[0]
        if missing := self.missing:
            raise MissingExtraError(f"{self.setting}: {package} is not installed", hint=missing)
        register_library(package)
        found = self._devices()
        if not found:
            raise ProviderError(
                f"{self.setting}: {package} {installed_version(package)} does not support this {self.hardware}",
                hint=self.no_hardware_hint,
            )
        if self.arithmetic.upper() not in found[0].ep_metadata.get(self.capabilities_key, "").split():
            raise ProviderError(
                f"{self.setting}: this {self.hardware} does not compute in {self.arithmetic}",
                hint=f"`device='{self.fp32_device}'` computes in fp32",
            )
        session_options.add_provider_for_devices(found[:1], self.options(threads))
        return None

    def _devices(self) -> list[Any]:
        import onnxruntime

        wanted = getattr(onnxruntime.OrtHardwareDeviceType, self.hardware)
        return [
            device
            for device in onnxruntime.get_ep_devices()
            if device.ep_name == self.name and device.device.type == wanted
        ]


@functools.cache
def register_library(package: str) -> None:
    """Register a plugin's library, once per process: ONNX Runtime refuses a second time."""
    import onnxruntime

    plugin: Any = import_module(package.replace("-", "_"))
    onnxruntime.register_execution_provider_library(package, plugin.get_library_path())

"""Execution providers: one row for each, with everything that replank knows of it.

A new provider is a row in :data:`PROVIDERS`, an extra in pyproject.toml, and a test.
"""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from replank.system.errors import FieldError, MissingExtraError, ProviderError
from replank.system.extras import installed_version

if TYPE_CHECKING:
    import onnxruntime

# The name of a row of :data:`PROVIDERS`; :func:`provider_of` checks it.
Device = str
Arithmetic = Literal["fp32", "bf16"]
ProviderArguments = list[tuple[str, dict[str, str]]]

# Integer arithmetic on shapes, which ONNX Runtime deliberately computes on the host: a GPU would only wait for it.
_SHAPE_OPERATORS = frozenset({"Shape", "Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Range"})


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
        """The command that installs it; ``None`` if it is installed."""

    @abstractmethod
    def attach(self, session_options: onnxruntime.SessionOptions, threads: int) -> ProviderArguments | None:
        """Make a session run on it.

        :returns: the session's ``providers`` argument; ``None`` if ``session_options`` hold everything.
        :raises MissingExtraError: its package is not installed.
        :raises ProviderError: its hardware is not present.
        """

    def preload(self) -> None:
        """Load its libraries if they come in packages of their own."""
        if self.libraries:
            import onnxruntime

            onnxruntime.preload_dlls()

    def require_precision(self, model: str, precision: str) -> None:
        """Refuse a model of a precision that it cannot run.

        :raises ProviderError: see ``refused``.
        """
        if precision in self.refused:
            shown = precision.upper()
            raise ProviderError(
                f"{model} is {shown}, which {self.name} cannot run", hint=f"`device='cpu'` runs {shown} models"
            )


@dataclass(frozen=True)
class BuiltIn(Provider):
    """A provider compiled into one of ONNX Runtime's own wheels, of which only one can be installed."""

    @property
    def missing(self) -> str | None:
        """The command that swaps the installed wheel for the one with this provider."""
        import onnxruntime

        if self.name in onnxruntime.get_available_providers():
            return None
        return f'pip uninstall -y {" ".join(wheels()) or "onnxruntime"} && pip install "replank[{self.extra}]"'

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
    """

    hardware: Literal["CPU", "GPU", "NPU"] = "CPU"
    capabilities_key: str = ""
    no_hardware_hint: str = "`device='cpu'` runs everywhere"

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
                hint=f"`device='{self._in_fp32()}'` computes in fp32",
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

    def _in_fp32(self) -> Device:
        """The device of the same provider that computes in fp32."""
        same = (row for row in PROVIDERS.values() if row.name == self.name and row.arithmetic == "fp32")
        return next(same).device


@functools.cache
def register_library(package: str) -> None:
    """Register a plugin's library, once per process: ONNX Runtime refuses a second time."""
    import onnxruntime

    plugin: Any = import_module(package.replace("-", "_"))
    onnxruntime.register_execution_provider_library(package, plugin.get_library_path())


def _openvino(device: Device, arithmetic: Arithmetic) -> Plugin:
    """OpenVINO on the CPU.

    Left to itself it computes fp32 graphs in bf16 on every CPU that can. On BERT-base's shape with 6 layers that takes
    half the time, and moves logits of 0.3 by 6e-3 instead of 7e-7: two labels of a thousand of random tokens change.
    So bf16 has a name of its own, and ``openvino`` gives the numbers of fp32.
    """

    def options(threads: int) -> dict[str, str]:
        precision = {"fp32": "f32", "bf16": "bf16"}[arithmetic]
        settings = {"CPU": {"INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": precision}}
        return {"load_config": json.dumps(settings)}

    return Plugin(
        device,
        "OpenVINOExecutionProvider",
        extra="openvino",
        packages=("onnxruntime-ep-openvino",),
        arithmetic=arithmetic,
        options=options,
        capabilities_key="OPTIMIZATION_CAPABILITIES",
        no_hardware_hint="releases of the plugin up to 1.8.1 support Intel CPUs only; `device='cpu'` runs everywhere",
    )


_CUDA_LIBRARIES = (
    Library("CUDA driver", "libcuda.so.1", "install the NVIDIA driver (580 or newer for CUDA 13)"),
    Library("cuBLAS", "libcublas.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
    Library("CUDA runtime", "libcudart.so.13", 'pip install "onnxruntime-gpu[cuda,cudnn]"'),
    Library("cuRAND", "libcurand.so.10", "pip install nvidia-curand"),
)

_ROWS: tuple[Provider, ...] = (
    BuiltIn(
        "cpu",
        "CPUExecutionProvider",
        extra="cpu",
        packages=("onnxruntime", "onnxruntime-gpu"),
        torch_device="cpu",
    ),
    BuiltIn(
        "cuda",
        "CUDAExecutionProvider",
        extra="gpu",
        packages=("onnxruntime-gpu",),
        is_gpu=True,
        torch_device="cuda",
        refused=frozenset({"int8"}),
        host_operators=_SHAPE_OPERATORS,
        libraries=_CUDA_LIBRARIES,
    ),
    _openvino("openvino", "fp32"),
    _openvino("openvino-bf16", "bf16"),
)

# The reference comes first.
PROVIDERS: Mapping[Device, Provider] = {row.device: row for row in _ROWS}
# Those that need no plugin.
BUILT_IN = tuple(row.device for row in _ROWS if isinstance(row, BuiltIn))


def provider_of(device: Device) -> Provider:
    """The provider of a device.

    :raises FieldError: there is none of that name.
    """
    if device not in PROVIDERS:
        raise FieldError("device", device, f"one of {', '.join(PROVIDERS)}")
    return PROVIDERS[device]


def wheels() -> dict[str, str]:
    """The installed wheels of ONNX Runtime and their versions; they contain the same module, so one is right."""
    names = dict.fromkeys(package for row in PROVIDERS.values() if isinstance(row, BuiltIn) for package in row.packages)
    return {name: version for name in names if (version := installed_version(name))}


def packages() -> tuple[str, ...]:
    """The distributions that contain any provider."""
    return tuple(dict.fromkeys(package for row in PROVIDERS.values() for package in row.packages))


def require_onnxruntime() -> None:
    """Make sure that a wheel of ONNX Runtime is installed.

    :raises MissingExtraError: none is.
    """
    if not wheels():
        raise MissingExtraError("onnxruntime is not installed", hint=installation())


def installation() -> str:
    """The command that installs ONNX Runtime."""
    extras = (row.extra for row in PROVIDERS.values() if isinstance(row, BuiltIn))
    return "pip install " + " or ".join(f'"replank[{extra}]"' for extra in extras)

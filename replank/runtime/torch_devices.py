"""Devices of torch models: the hardware of the execution providers that torch knows too."""

from __future__ import annotations

from replank.runtime.providers import PROVIDERS, Device, provider_of
from replank.system.errors import IncompatibleModelError, ProviderError
from replank.system.extras import require


def torch_device(device: Device, model: str) -> str:
    """Torch's name for a device.

    :param model: the name of the model that is to run there, for the message.
    :raises IncompatibleModelError: torch has no such device.
    :raises ProviderError: it finds none on this machine.
    """
    provider = provider_of(device)
    if provider.torch_device is None:
        raise IncompatibleModelError(
            f"{provider.setting} runs ONNX graphs, and {model} is a torch model",
            hint=f"replank export {model} OUT converts it",
        )
    if not _is_present(provider.torch_device):
        raise ProviderError(f"{provider.setting}: torch finds no such device", hint="replank doctor shows why")
    return provider.torch_device


def default_torch_device() -> Device:
    """The device for torch models, which have no execution providers to choose among: a GPU if torch finds one."""
    rows = [row for row in PROVIDERS.values() if row.torch_device and _is_present(row.torch_device)]
    return max(rows, key=lambda row: row.is_gpu).device


def _is_present(name: str) -> bool:
    require("torch")
    import torch

    return bool(torch.get_device_module(name).is_available())

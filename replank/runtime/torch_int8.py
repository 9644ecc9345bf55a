"""PyTorch's own INT8: torchao quantizes an exported program (PT2E), which torch's compiler lowers on x86."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replank.system.errors import MissingExtraError, ProviderError
from replank.system.extras import installed_version


def quantize_dynamically(module: Any, inputs: Mapping[str, Any]) -> Any:
    """A program with weights of 8 bits, and activations that get a scale as they come; it is fast only compiled.

    :param module: a torch module in fp32.
    :param inputs: tensors by their names, of any batch of several texts; the program takes others too.
    :returns: a ``GraphModule``.
    :raises MissingExtraError: torchao is not installed.
    :raises ProviderError: the module cannot be exported or quantized.
    """
    if installed_version("torchao") is None:
        # In none of the extras: transformers would import it in every process.
        raise MissingExtraError("not installed: torchao", hint="pip install torchao")
    import torch
    from torchao.quantization.pt2e import allow_exported_model_train_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    any_shape = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in inputs}
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(is_dynamic=True))
    try:
        with torch.no_grad():
            program = torch.export.export(module, (), dict(inputs), dynamic_shapes=any_shape)
            prepared = prepare_pt2e(program.module(), quantizer)
            prepared(**inputs)
            return allow_exported_model_train_eval(convert_pt2e(prepared))
    except Exception as error:  # of any of torch's types
        raise ProviderError(f"torchao cannot quantize the model: {error}") from error

"""Bodies of the Open Inference Protocol: JSON, and behind it the data of binary tensors.

Texts are BYTES tensors: strings in JSON, or in binary each text as UTF-8 behind its length, four bytes, little-endian.
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from replank.system.errors import UsageError
from replank_serve.routes.request_parsing import too_many

# The length of the JSON, where tensors follow it. To another origin, no web page can send the header, nor the last of
# the types, without a CORS preflight.
HEAD_LENGTH = "inference-header-content-length"
TENSOR_TYPES = ("application/json", "", "application/octet-stream")
EXTENSION = "binary_tensor_data"
_LENGTH = struct.Struct("<I")
_NUMBERS = {"FP32": "<f4", "BOOL": "?"}


def split_body(body: bytes, head_length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the data of its binary tensors.

    :param head_length: the value of the header.
    :raises UsageError: the header is no length within the body.
    """
    if head_length is None:
        return body, b""
    if not (head_length.isascii() and head_length.isdecimal() and len(head_length) < 20):
        raise UsageError(f"{HEAD_LENGTH}: expected a number of bytes")
    length = int(head_length)
    if length > len(body):
        raise UsageError(f"{HEAD_LENGTH}: {length} is more than the body's {len(body)} bytes")
    return body[:length], body[length:]


def require_few_texts(values: dict[str, Any], max_texts: int) -> None:
    """Check the number of texts in JSON before validation: a body within its limit can hold half a million empty ones.

    :raises TooLargeError: a tensor has more than ``max_texts``.
    """
    for tensor in _tensors(values):
        data = tensor.get("data")
        if not isinstance(data, list):
            continue
        count = len(data)
        if count <= max_texts:
            count = sum(len(part) if isinstance(part, list) else 1 for part in data)
        if count > max_texts:
            raise too_many(count, max_texts)


def with_binary_texts(values: dict[str, Any], binary: bytes, max_texts: int) -> dict[str, Any]:
    """A request with the texts of its binary tensors as data.

    :param binary: the data of the tensors that have a ``binary_data_size``, in their order.
    :raises UsageError: the sizes do not add up, or the data are no texts.
    :raises TooLargeError: a tensor has more than ``max_texts``.
    """
    position = 0
    for tensor in _tensors(values):
        parameters = tensor.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary) - position:
            raise UsageError(f"inputs: a binary_data_size does not fit the {len(binary)} bytes behind the JSON")
        if "data" in tensor:
            raise UsageError("inputs: a tensor has data and a binary_data_size")
        tensor["data"] = _texts(binary[position : position + size], max_texts)
        position += size
    if position != len(binary):
        raise UsageError(f"inputs: {len(binary)} bytes follow the JSON, but the tensors have {position}")
    return values


def binary_data(datatype: str, data: Sequence[Any]) -> bytes:
    """The data of an output tensor in binary."""
    if datatype in _NUMBERS:
        return np.asarray(data, dtype=_NUMBERS[datatype]).tobytes()
    encoded = [text.encode() for text in data]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)


def _tensors(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The input tensors of a request that may still be wrong; at most two are needed."""
    inputs = values.get("inputs")
    return [tensor for tensor in inputs[:2] if isinstance(tensor, dict)] if isinstance(inputs, list) else []


def _texts(data: bytes, max_texts: int) -> list[str]:
    texts: list[str] = []
    position = 0
    while position < len(data):
        if len(texts) == max_texts:
            raise too_many(max_texts + 1, max_texts)
        begin = position + _LENGTH.size
        end = begin + (_LENGTH.unpack_from(data, position)[0] if begin <= len(data) else 0)
        if max(begin, end) > len(data):
            raise UsageError(f"inputs: the binary text {len(texts)} is longer than its tensor")
        try:
            texts.append(data[begin:end].decode())
        except UnicodeDecodeError:
            raise UsageError(f"inputs: the binary text {len(texts)} is not UTF-8") from None
        position = end
    return texts

"""FLOPs and bytes of one forward pass: its matrix multiplications, its weights, and their sums."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any


@dataclass(frozen=True)
class MatMul:
    """A matrix multiplication, ``rows x inner`` by ``inner x columns``.

    :param name: name of the node or the weight.
    :param operator: operator that computes it.
    :param precision: precision of the computation: ``int8``, ``fp32``, ``fp16``, ``bf16``.
    :param repeats: number of multiplications of this shape; attention has one per text and head.
    :param has_weight: whether one operand is a weight; attention multiplies activations by each other.
    """

    name: str
    operator: str
    precision: str
    rows: int
    inner: int
    columns: int
    repeats: int = 1
    has_weight: bool = True

    @property
    def macs(self) -> int:
        """The number of multiply-accumulates."""
        return self.repeats * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Weight:
    """A tensor in the model's file.

    :param precision: precision it is stored in.
    :param bytes: size in the file.
    :param is_table: whether rows of it are looked up, as in an embedding.
    """

    name: str
    precision: str
    shape: tuple[int, ...]
    bytes: int
    is_table: bool = False

    @property
    def is_matrix(self) -> bool:
        """Whether it has two dimensions or more; biases and the scales of norms have one."""
        return len(self.shape) >= 2

    @property
    def parameters(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class ForwardPass:
    """The MatMuls and weights of one forward pass.

    :param batch_size: texts per batch.
    :param length: tokens per text.
    :param file_bytes: size of the files with the weights or the graph.
    :param uncounted: operators whose FLOPs could not be counted, with their number.
    """

    batch_size: int
    length: int
    file_bytes: int
    matmuls: tuple[MatMul, ...]
    weights: tuple[Weight, ...]
    uncounted: dict[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all MatMuls; elementwise operators are left out."""
        return sum(matmul.macs for matmul in self.matmuls)

    @property
    def attention_macs(self) -> int:
        """The multiply-accumulates of scores and weighted values, which grow with the square of the length."""
        return sum(matmul.macs for matmul in self.matmuls if not matmul.has_weight)

    @property
    def matrix_bytes(self) -> int:
        """The bytes of the weights that every pass reads in full; of an embedding table it reads a few rows only."""
        return sum(weight.bytes for weight in self.weights if weight.is_matrix and not weight.is_table)

    def to_json(self) -> dict[str, Any]:
        """Sums and shares as plain JSON values: bytes, FLOPs (two per multiply-accumulate) and fractions."""
        tables = [weight for weight in self.weights if weight.is_table]
        table_bytes = sum(weight.bytes for weight in tables)
        return {
            "batch_size": self.batch_size,
            "length": self.length,
            "parameters": {
                "all": sum(weight.parameters for weight in self.weights),
                "embeddings": sum(weight.parameters for weight in tables),
            },
            "bytes": {"file": self.file_bytes, "embeddings": table_bytes, "rest": self.file_bytes - table_bytes},
            "flops": 2 * self.macs,
            "flops_per_token": 2 * self.macs / (self.batch_size * self.length),
            "attention_share": self.attention_macs / self.macs if self.macs else 0.0,
            "precisions": self.by_precision(),
            "products": [asdict(matmul) | {"macs": matmul.macs} for matmul in self.matmuls],
            "uncounted": self.uncounted,
        }

    def by_precision(self) -> list[dict[str, Any]]:
        """Weights and multiply-accumulates by precision, the precision with the most multiply-accumulates first.

        A weight may be stored in one precision and multiplied in another.
        """
        found = []
        names = {matmul.precision for matmul in self.matmuls} | {weight.precision for weight in self.weights}
        for precision in names:
            matrices = [entry for entry in self.weights if entry.is_matrix and entry.precision == precision]
            macs = sum(matmul.macs for matmul in self.matmuls if matmul.precision == precision)
            if not matrices and not macs:
                continue
            found.append(
                {
                    "precision": precision,
                    "matrices": len(matrices),
                    "bytes": sum(matrix.bytes for matrix in matrices),
                    "macs": macs,
                    "mac_share": macs / self.macs if self.macs else 0.0,
                }
            )
        return sorted(found, key=lambda entry: (-entry["macs"], entry["precision"]))

"""What one forward pass of a model is made of: its matrix products and its weights, and their sums."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any


@dataclass(frozen=True)
class Product:
    """One matrix product, ``rows x inner`` by ``inner x columns``.

    :param name: of the node or the weight.
    :param operator: that computes it.
    :param precision: that it is computed in: ``int8``, ``fp32``, ``fp16``, ``bf16``.
    :param repeats: how often it stands there, as attention's do for each text and head.
    :param has_weight: whether one side is a weight; attention multiplies activations with each other.
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
        """Multiply-accumulates."""
        return self.repeats * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Weight:
    """A tensor of the model's file.

    :param precision: that it is stored in.
    :param bytes: that it takes there.
    :param is_table: whether rows of it are looked up, as those of embeddings are.
    """

    name: str
    precision: str
    shape: tuple[int, ...]
    bytes: int
    is_table: bool = False

    @property
    def is_matrix(self) -> bool:
        """Whether it is more than a bias or a norm's scale."""
        return len(self.shape) >= 2

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Work:
    """One forward pass.

    :param batch_size: texts, and
    :param length: tokens of each, that it is counted for.
    :param file_bytes: size of the weights' or the graph's files.
    :param uncounted: operators whose products could not be counted, and how often each stands there.
    """

    batch_size: int
    length: int
    file_bytes: int
    products: tuple[Product, ...]
    weights: tuple[Weight, ...]
    uncounted: dict[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all matrix products; what is done element by element is left out."""
        return sum(product.macs for product in self.products)

    @property
    def attention_macs(self) -> int:
        """Those that grow with the square of the length: of scores and of values weighted by them."""
        return sum(product.macs for product in self.products if not product.has_weight)

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the weights that every pass multiplies with; of tables only a few rows are read."""
        return sum(weight.bytes for weight in self.weights if weight.is_matrix and not weight.is_table)

    def to_json(self) -> dict[str, Any]:
        """Sums and shares as plain JSON values; bytes, FLOPs (two a multiply-accumulate) and fractions."""
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
            "products": [asdict(product) | {"macs": product.macs} for product in self.products],
            "uncounted": self.uncounted,
        }

    def by_precision(self) -> list[dict[str, Any]]:
        """What is stored and what is computed in each precision, that of most multiply-accumulates first.

        A weight may be stored in one precision and multiplied in another.
        """
        found = []
        names = {product.precision for product in self.products} | {weight.precision for weight in self.weights}
        for precision in names:
            matrices = [entry for entry in self.weights if entry.is_matrix and entry.precision == precision]
            macs = sum(product.macs for product in self.products if product.precision == precision)
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

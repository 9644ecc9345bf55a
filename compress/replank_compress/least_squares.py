"""The least squares of the fitted start, summed over batches of tokens: float32 products, float64 solution."""

from __future__ import annotations

import torch

from replank.system.errors import FieldError, TrainingError

# λ, relative to the mean of the Gram matrix's diagonal.
_RIDGE = 0.003


class RidgeRegression:
    """Ridge regression of some targets on the input of a layer's last matrix.

    It is linear in the targets, so that these may be summed, with weights that are known later, once they are solved.

    :param inner: the width of the input.
    :param width: the number of the targets.
    """

    def __init__(self, inner: int, width: int) -> None:
        self._gram, self._products = torch.zeros(inner, inner).double(), torch.zeros(inner, width).double()
        self._inputs, self._targets, self._tokens = torch.zeros(inner).double(), torch.zeros(width).double(), 0

    def add(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Take more tokens.

        :param inputs: shape ``(tokens, inner)``.
        :param targets: shape ``(tokens, width)``.
        """
        inputs = inputs.float()
        self._gram += (inputs.T @ inputs).double().cpu()
        self._products += (inputs.T @ targets).double().cpu()
        self._inputs += inputs.double().sum(0).cpu()
        self._targets += targets.double().sum(0).cpu()
        self._tokens += len(inputs)

    def solve(self, *, has_bias: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The matrix that gives the targets, shape ``(inner, width)``, and the bias, shape ``(width,)``.

        :param has_bias: without one, the matrix alone has to give them, and the second is zero.
        :raises FieldError: fewer tokens than unknowns for each output.
        :raises TrainingError: there is no solution in finite numbers.
        """
        inner = len(self._inputs)
        if self._tokens <= inner:
            raise FieldError(
                "init_layers",
                "fitted",
                f"more than {inner} tokens of text to fit a matrix of {inner} inputs; the training split has "
                f"{self._tokens}",
                hint="`init_layers='spread'` needs no texts",
            )
        input_mean, target_mean = self._inputs / self._tokens, self._targets / self._tokens
        if not has_bias:
            input_mean, target_mean = torch.zeros_like(input_mean), torch.zeros_like(target_mean)
        gram = self._gram - self._tokens * torch.outer(input_mean, input_mean)
        products = self._products - self._tokens * torch.outer(input_mean, target_mean)
        ridge = _RIDGE * float(self._gram.diagonal().mean())
        matrix, failed = torch.linalg.solve_ex(gram + ridge * torch.eye(inner).double(), products)
        if failed or not torch.isfinite(matrix).all():
            raise TrainingError(
                "the fit has no solution: the predecessor's hidden states are all alike, or not finite",
                hint="`init_layers='spread'` fits nothing; is the predecessor sound?",
            )
        return matrix, target_mean - input_mean @ matrix

"""`optimum-cli replank …`: the same command line as `replank`.

``optimum`` is a namespace that several distributions fill (PEP 420): no folder above this file may have an
``__init__.py``. Optimum runs every file that lies in ``optimum/commands/register``, also of an editable installation.
"""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo


class ReplankCommand(BaseOptimumCLICommand):  # type: ignore[misc]  # optimum has no types
    """Hands its arguments on as they are."""

    COMMAND = CommandInfo(
        name="replank",
        help="Halve an encoder's layers, export it to ONNX, quantize it, prove it right, serve it.",
    )

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Take everything, options and ``--help`` too: to a parser whose options begin with nothing, all are words."""
        parser.prefix_chars = ""
        parser.add_argument("arguments", nargs=REMAINDER)

    def run(self) -> None:
        """Run the command line, and exit as it does."""
        # Imported here, so that optimum-cli's other commands start as fast as without it.
        from replank.cli.main import main

        main(self.args.arguments)


REGISTER_COMMANDS = [ReplankCommand]

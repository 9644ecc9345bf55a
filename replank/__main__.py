"""The program ``replank``: the command line, whose imports a signal may end at any point."""

from __future__ import annotations

from typing import NoReturn

from replank.system.signals import end_at_once


def main() -> NoReturn:
    """Run the command line and exit, see :func:`replank.cli.main.main`."""
    end_at_once()
    # Imported here and not above: it takes long enough for a person to change their mind.
    from replank.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()

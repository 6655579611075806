"""The command line: ``crossentropy train``, ``predict``, ``evaluate`` and others, a file each."""

import sys


def main() -> None:
    """Run the command line; the entry point of the installed command."""
    try:
        from crossentropy.cli.app import app
    except ModuleNotFoundError as error:
        from crossentropy.cli.install import what_to_install

        sys.exit(f"Error: {what_to_install(error)}")
    app()

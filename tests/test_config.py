"""What the package says of its installation."""

import platform

import numpy as np
from typer.testing import CliRunner

import crossentropy as ce
from crossentropy._kernels import _native
from crossentropy.cli.app import app


def test_the_configuration_has_versions_instructions_and_threads(capsys):
    ce.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["crossentropy"] == ce.__version__
    assert lines["numpy"] == np.__version__
    assert lines["python"].startswith(platform.python_version())
    assert lines["kernels"] == f"compiled, {_native.instruction_set()}"
    assert int(lines["threads"].split()[0]) >= 1


def test_the_command_prints_its_version_and_with_verbose_the_configuration(capsys):
    assert CliRunner().invoke(app, ["--version"]).stdout == f"{ce.__version__}\n"
    ce.show_config()
    expected = capsys.readouterr().out
    for flag in "-v", "--verbose":
        assert CliRunner().invoke(app, ["--version", flag]).stdout == expected


def test_wrong_uses_of_the_command_without_a_verb_name_the_fix():
    alone = CliRunner().invoke(app, ["-v"])
    assert (alone.exit_code, "crossentropy --version --verbose" in " ".join(alone.stderr.split())) == (
        2,
        True,
    )

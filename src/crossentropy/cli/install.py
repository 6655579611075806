"""What to install where a package is missing."""

from importlib import metadata


def what_to_install(error: ModuleNotFoundError, *, extra: str = "train") -> str:
    """Say which module is missing, and the line that installs what the commands of an extra need.

    The line names the packages and not an extra of this package, so it works wherever this package came from.

    Raises
    ------
    ModuleNotFoundError
        If the missing module is one of this package.
    """
    if (error.name or "").startswith("crossentropy"):
        raise error
    wanted = [
        requirement.split(";")[0].strip()
        for requirement in metadata.requires("crossentropy") or ()
        if f'extra == "{extra}"' in requirement.replace("'", '"')
    ]
    packages = " ".join(f'"{requirement}"' for requirement in wanted)
    return f"The package {error.name} is not installed; install what the command needs by: pip install {packages}"

"""The order of the gallery: that of the list in examples/README.rst."""

from pathlib import Path


class OrderOfTheReadme:
    """Sort the files of a folder by where its README.rst names them."""

    def __init__(self, folder: str) -> None:
        readme = Path(folder) / "README.rst"
        self.text = readme.read_text(encoding="utf-8") if folder else ""

    def __call__(self, file: str) -> int:
        return self.text.index(f"_{Path(file).name}`")

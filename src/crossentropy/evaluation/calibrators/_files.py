"""Calibrators from files."""

import json
import os
from typing import Any

from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation.calibrators._auto import METHODS, AutoCalibration
from crossentropy.evaluation.calibrators._base import FORMAT, VERSION, Calibrator

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> Calibrator:
    """Read a calibrator that `save` or ``crossentropy calibrate --save`` has written.

    Nothing in the file is executed.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Calibrator
        Fitted, of the class that was saved.

    Raises
    ------
    BadData
        If the file is something else, of another version, or damaged; a ValueError.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> from crossentropy.evaluation import calibrators
    >>> path = os.path.join(tempfile.mkdtemp(), "c.json")
    >>> calibrators.TemperatureScaling("logits").fit([2.0] * 10, [1] * 8 + [0] * 2).save(path)
    >>> calibrators.load(path).predict_proba([2.0]).round(6).tolist()
    [[0.2, 0.8]]
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        tree = json.loads(data)
    except ValueError as error:
        raise BadData(_no_calibrator(path, "it is no JSON")) from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise BadData(_no_calibrator(path, f"its format is not {FORMAT!r}"))
    if tree.get("version") != VERSION:
        raise BadData(
            f"{path} has version {tree.get('version')!r}, and this release of crossentropy reads version {VERSION}; "
            "use the release that wrote it, or fit the calibrator again"
        )
    try:
        return _restored(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"{path} is damaged: {error!r}; write or copy it again") from error


def _no_calibrator(path: Any, why: str) -> str:
    return f"{path} is no calibrator: {why}; pass a file that crossentropy calibrate --save has written"


def _restored(tree: dict[str, Any]) -> Calibrator:
    known: tuple[type[Calibrator], ...] = (*METHODS, AutoCalibration)
    methods = {method.method: method for method in known}
    classes = tuple(tree["classes"])
    calibrator = methods[tree["method"]](tree["kind"], classes=classes)
    calibrator._restore_all(
        Declaration(tree["kind"], classes, tree["one_column"], weighted=True), tree["fitted"]
    )
    return calibrator

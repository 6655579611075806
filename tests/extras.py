"""Install a wheel with each extra alone, in a fresh environment, and see that it gives what README.md says.

``python tests/extras.py WHEEL [EXTRA …]``; for `make test-extras`. Gigabytes are downloaded. PyTorch is that of the
environment variable TORCH.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: For each extra, a line that it makes work.
USES = {
    "torch": "from crossentropy.torch import CrossEntropyLoss",
    "jax": "from crossentropy.jax import softmax_cross_entropy",
    "keras": "from crossentropy.keras import CrossEntropyLoss",
    "transformers": "from crossentropy.transformers import apply",
    "sklearn": "from crossentropy.sklearn import CrossEntropyClassifier",
    "xgboost": "from crossentropy.boosting import SigmoidObjective; SigmoidObjective().xgboost",
    "lightgbm": "from crossentropy.boosting import SigmoidObjective; SigmoidObjective().lightgbm",
    "catboost": "from crossentropy.boosting import SigmoidObjective; SigmoidObjective().catboost",
    "evaluate": "from crossentropy.cli.app import app",
    "spark": "from crossentropy.evaluation import spark",
    "ray": "from crossentropy.evaluation import ray",
    "train": "from crossentropy.training import load",
}
#: What an environment without an extra says: the use, and the extra that the error must name.
REFUSED = {
    "torch": "import crossentropy.torch",
    "jax": "import crossentropy.jax",
    "keras": "import crossentropy.keras",
    "sklearn": "import crossentropy.sklearn",
}
#: What an extra leaves to choose. Keras does not import without a backend.
BESIDE = {"keras": ["jax"]}


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an environment."""
    command = [folder / "bin/python", "-c", code]
    backend = os.environ | {"KERAS_BACKEND": "jax"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=backend)


def try_extra(wheel: str, extra: str, folder: Path) -> list[str]:
    """Install one extra, and list what is wrong."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    torch = (
        [os.environ.get("TORCH", "torch")] if extra in ("torch", "sklearn", "train", "transformers") else []
    )
    requirements = [*torch, *BESIDE.get(extra, []), f"{wheel}[{extra}]"]
    subprocess.run([folder / "bin/pip", "install", "--quiet", *requirements], check=True)
    used = python(folder, USES[extra])
    wrong = [f"[{extra}] {USES[extra]}: {used.stderr[-400:]}"] if used.returncode else []
    for other, code in REFUSED.items():
        done = python(folder, code)
        if done.returncode and f'"crossentropy[{other}]"' not in done.stderr:
            wrong.append(f"[{extra}] {code} does not name the extra: {done.stderr[-400:]}")
    return wrong


def main(wheel: str, *extras: str) -> None:
    """Try the extras, all if none is named, and end with an error if something is wrong."""
    wrong = []
    for extra in extras or tuple(USES):
        folder = Path("build/extras") / extra
        found = try_extra(wheel, extra, folder)
        shutil.rmtree(folder)
        print(f"{extra}: {'as promised' if not found else 'wrong'}", flush=True)
        wrong += found
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main(*sys.argv[1:])

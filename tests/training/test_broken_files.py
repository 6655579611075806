"""Files with bytes changed by chance are learnt from or refused in a sentence, and never end in another error."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.tables.encoder import ColumnEncoder

RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RANDOM.normal(size=60).round(2),
        "city": RANDOM.choice(["Köln", "Ulm, Donau"], 60),
        "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(RANDOM.integers(0, 99, 60), unit="D"),
        "note": [f'a "{i}"\nb' for i in range(60)],
        "label": RANDOM.choice(["a", "b"], 60),
    }
)
PIECES = [
    b"",
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"1e999",
    b";",
    b"\t",
    b"NA",
    b"\xe2\x82\xac",
    b"-",
    b"\xff\xfe",
]


def parquet() -> bytes:
    buffer = io.BytesIO()
    FRAME.to_parquet(buffer)
    return buffer.getvalue()


TEXT = FRAME.to_csv(index=False).encode()
CONTENTS = {
    "csv": TEXT,
    "gz": gzip.compress(TEXT, mtime=0),
    "utf-16": TEXT.decode().encode("utf-16"),
    "parquet": parquet(),
}


def broken(content: bytes, random: np.random.Generator) -> bytes:
    """Change, insert or delete some bytes, or cut the end off."""
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(len(content) if random.random() < 0.7 else 40))
        piece = random.choice(PIECES) if random.random() < 0.7 else random.bytes(int(random.integers(1, 9)))
        content = content[:place] + piece + content[place + int(random.integers(0, 9)) :]
    return content[: int(random.integers(len(content)))] if random.random() < 0.1 else content


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("block", range(4))
def test_a_broken_file_is_read_or_refused_in_a_sentence(tmp_path, kind, block):
    for seed in range(25 * block, 25 * block + 25):
        (tmp_path / "table").write_bytes(broken(CONTENTS[kind], np.random.default_rng(seed)))
        said = ""
        try:
            dataset = load_dataset(str(tmp_path / "table"))
        except InputError as refusal:
            said = str(refusal)
        else:
            assert np.isfinite(ColumnEncoder().fit_transform(dataset.features)).all(), seed
        assert "\n" not in said, seed
        assert len(said) < 2000, seed

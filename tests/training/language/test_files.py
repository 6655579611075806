import json
import math
import xml.etree.ElementTree

import pytest
import torch
from tokenizers import Tokenizer

from crossentropy.training.errors import InputError
from crossentropy.training.language.files import write_language_run
from crossentropy.training.language.model import Shape, Transformer
from crossentropy.training.language.scores import cut_windows, score_text
from crossentropy.training.language.text import read_texts
from crossentropy.training.language.tokenizer import encode, token_sizes


@pytest.fixture
def folder(tmp_path, bottles_run):
    write_language_run(bottles_run, tmp_path / "out")
    return tmp_path / "out"


def test_the_six_files_and_nothing_else_are_written(folder):
    names = {"model.pt", "tokenizer.json", "history.json", "evaluation.json", "sample.txt", "curves.svg"}
    assert {path.name for path in folder.iterdir()} == names
    assert list(folder.parent.iterdir()) == [folder]


def test_of_a_full_disk_the_error_says_so_and_nothing_is_left(tmp_path, bottles_run, small_files):
    with small_files, pytest.raises(InputError, match=r"Cannot write to .*out: File too large\.$"):
        write_language_run(bottles_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_model_file_alone_gives_the_score(folder, text_file, bottles_run):
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = Transformer(Shape(**saved["shape"]))
    model.load_state_dict(saved["state_dict"])
    tokenizer = Tokenizer.from_str(saved["tokenizer"])
    texts = read_texts([str(text_file)], 0.1)
    windows = cut_windows([encode(tokenizer, text) for text in texts.held_out], saved["shape"]["context"])
    score = score_text(model, windows, token_sizes(tokenizer), 4, bottles_run.options.logits)
    assert score.nats == pytest.approx(bottles_run.score.nats, rel=1e-6)


def test_the_evaluation_is_the_score_of_the_held_out_text_with_its_intervals(folder, bottles_run):
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation == json.loads(bottles_run.score.to_json())
    low, high = evaluation["bits_per_byte_interval"]
    assert low < evaluation["bits_per_byte"] < high
    assert evaluation["windows"] == -(-evaluation["tokens"] // 16)
    assert evaluation["documents"] is None


def test_the_tokenizer_file_is_the_tokenizer(folder, bottles_run):
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).to_str() == bottles_run.tokenizer.to_str()


def test_the_history_holds_options_steps_evaluations_and_the_final_table(folder, bottles_run):
    history = json.loads((folder / "history.json").read_text())
    assert history["options"]["heads"] == 2
    assert history["step_nats_per_token"] == bottles_run.history.losses
    assert [evaluation["step"] for evaluation in history["evaluations"]] == [4, 8, 12]
    model = history["held_out"]["model"]
    assert {"step": 12} | model == history["evaluations"][-1]
    bits = model["nats_per_token"] * history["held_out_tokens"] / math.log(2)
    assert model["bits_per_byte"] == pytest.approx(bits / history["held_out_bytes"], rel=1e-14)
    assert model["perplexity"] == pytest.approx(math.exp(model["nats_per_token"]), rel=1e-14)
    assert history["held_out"]["unigram"]["nats_per_token"] == bottles_run.unigram.nats_per_token
    assert history["held_out"]["xz_alone"]["bits_per_byte"] == bottles_run.xz.alone
    assert history["held_out"]["xz_after_training_text"]["bits_per_byte"] == bottles_run.xz.after_training
    assert history["peak_memory_bytes"] == bottles_run.memory


def test_the_sample_is_written_by_the_tokens_of_the_model(folder, bottles_run):
    assert (folder / "sample.txt").read_bytes() == bottles_run.sample.encode() + b"\n"
    assert len(bottles_run.sample) > 100


def test_the_curves_are_a_picture_with_words_in_it(folder):
    words = " ".join(xml.etree.ElementTree.parse(folder / "curves.svg").getroot().itertext())
    for name in ("nats per token", "bits per byte", "token frequencies", "xz after the training text"):
        assert name in words

"""A training step of a small Llama of Hugging Face, with and without `crossentropy.transformers.apply`.

python benchmarks/language_model.py [--tokens 2048] [--turns 5] [--dtype float32] [--write]

Forward and backward, the optimizer left out. Both sides take turns in one process; times are medians, and the ratio is
the median of the turns' ratios. Memory is the peak of resident memory during a step beyond that before it, gradients
included. `--write` writes benchmarks/results/transformers.md.
"""

import argparse
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from crossentropy.transformers import apply, restore
from machine import description
from memory import in_fresh_process, peak
from table import grid

PAGE = Path(__file__).parent / "results" / "transformers.md"
SHAPE = {
    "vocab_size": 128256,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "tie_word_embeddings": True,
    "use_cache": False,
}
DTYPES = ("float32", "bfloat16")
HEAD = ("dtype", "s, before", "s, with apply", "ratio", "MiB, before", "MiB, with apply")


def measured(dtype: str, tokens: int, turns: int) -> dict[str, Any]:
    """Times and peaks of both sides, in this process."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)).to(getattr(torch, dtype))
    inputs = torch.randint(SHAPE["vocab_size"], (1, tokens))

    durations = []

    def step() -> None:
        model.zero_grad()
        begun = perf_counter()
        model(input_ids=inputs, labels=inputs).loss.backward()
        durations.append(perf_counter() - begun)

    seconds: dict[bool, list[float]] = {False: [], True: []}
    peaks = {}
    for _ in range(turns):
        for ours in (False, True):
            apply(model) if ours else restore(model)
            peaks[ours] = peak(step, model.zero_grad)  # of the second of two steps
            seconds[ours].append(durations[-1])
    ratios = [ours / before for before, ours in zip(seconds[False], seconds[True], strict=True)]
    return {
        "seconds": [median(seconds[ours]) for ours in (False, True)],
        "ratio": median(ratios),
        "peaks": [peaks[ours] for ours in (False, True)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--dtype", choices=DTYPES, action="append", help="several may be given; all by default"
    )
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    rows = []
    for dtype in chosen.dtype or DTYPES:
        found = in_fresh_process(measured, dtype, chosen.tokens, chosen.turns)
        before, ours = found["seconds"]
        low, high = (f"{x / 2**20:.0f}" for x in found["peaks"])
        rows.append((dtype, f"{before:.2f}", f"{ours:.2f}", f"{found['ratio']:.2f}", low, high))
        print(rows[-1], flush=True)
    layers, width, V = (SHAPE[name] for name in ("num_hidden_layers", "hidden_size", "vocab_size"))
    page = "\n\n".join(
        (
            "# A training step of a small Llama, with and without apply",
            grid(("", ""), description().items(), 2),
            f"`python benchmarks/language_model.py --turns {chosen.turns} --write`: a Llama of Hugging Face with "
            f"{layers} layers of width {width}, tied\nembeddings and a vocabulary of {V}; one row of {chosen.tokens} "
            "tokens, forward and backward. Memory is the peak of a\nstep beyond that before it, gradients included. "
            "Times are medians of turns, the ratio is that of our time\nto the model's own.",
            grid(HEAD, rows, 1),
        )
    )
    print(page)
    if chosen.write:
        PAGE.write_text(page + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

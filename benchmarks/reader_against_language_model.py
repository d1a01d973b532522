"""How long does the reader take for a question, next to a language model that reads the same passages?

    python benchmarks/reader_against_language_model.py [--shape 1B] [--dtype auto] [--new-tokens 30] [--repeats 3]

The reader reads a question over 8 passages of 256 tokens and answers. The language model, Llama-shaped with random
weights and run by our own code in the processor's number type, gets as many tokens as prompt and writes as many as a
short answer with its marks has. One after the other in one run; medians are printed.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from language_model import SHAPES, random_llama, write_ours
from reader import QUESTION, make_passages, median_ms

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.input_format import ReaderTokenizer
from rag.reader.reader import Reader
from rag.transformer.pretrained import load_language_model
from rag.transformer.processor import choose_dtype, processor_path


def main() -> None:
    """Time both, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="1B")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16", "int8"], default="auto")
    parser.add_argument("--new-tokens", type=int, default=30)
    parser.add_argument("--passages", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    folder = model_folder(CARRIED_MODEL)
    passages = make_passages(arguments.passages, arguments.tokens, ReaderTokenizer.load(folder))
    reader = Reader.load(SHIPPED_WEIGHTS, folder, dtype=choose_dtype("auto"))
    int8 = arguments.dtype == "int8"
    dtype = choose_dtype("auto" if int8 else arguments.dtype)
    with tempfile.TemporaryDirectory() as weights:
        random_llama(arguments.shape, dtype, Path(weights))
        model = load_language_model(Path(weights), dtype)
    model = model.quantize() if int8 else model.pack()
    num_prompt = arguments.passages * arguments.tokens
    prompt_BT = torch.randint(3, model.config.vocabulary, (1, num_prompt))
    print(f"{processor_path()}, {torch.get_num_threads()} threads; {num_prompt} tokens read")
    reader_ms, _ = median_ms(lambda: reader.read(QUESTION, passages), max(5, arguments.repeats), warmups=2)
    with torch.inference_mode():
        model_ms, _ = median_ms(
            lambda: write_ours(model, prompt_BT, arguments.new_tokens), arguments.repeats, warmups=1
        )
    kind = "int8" if int8 else str(dtype).removeprefix("torch.")
    print(f"reader ({reader.dtype}): {reader_ms:.0f} ms")
    print(f"{arguments.shape} language model ({kind}), {arguments.new_tokens} tokens written: {model_ms / 1000:.1f} s")
    print(f"{model_ms / reader_ms:.0f} times as long")


if __name__ == "__main__":
    main()

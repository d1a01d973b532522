"""What do answers lose when a model's weights are rounded to 8-bit integers?

    python benchmarks/int8_reader.py dev-v1.1.json [--limit 500]

The shipped reader answers questions of a file in SQuAD format, each from its own paragraph, once as it is and once with
every matrix rounded as ``generator_dtype = "int8"`` rounds those of a language model. It stands in for language models,
whose weights are not shipped; for the reader itself 8-bit weights are not offered, as they make it no faster.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from rag.evaluate.corpus import sample_questions
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS, load_reader
from rag.reader.input_format import ReaderTokenizer
from rag.reader.reader import Reader, ReaderPassage
from rag.text.context import context_line
from rag.text.normalize_answer import exact_match, f1
from rag.training.squad import load_squad
from rag.transformer.linear import round_to_int8


def load(*, rounded: bool) -> Reader:
    """The shipped reader in float32."""
    folder = model_folder(CARRIED_MODEL)
    model, config = load_reader(SHIPPED_WEIGHTS, folder)
    if rounded:
        for part in model.modules():
            if isinstance(part, nn.Linear):
                integers_ND, scale_N = round_to_int8(part.weight)
                part.weight = nn.Parameter(integers_ND.float() * scale_N[:, None], requires_grad=False)
    return Reader(model, config, ReaderTokenizer.load(folder), dtype=torch.float32)


def main() -> None:
    """Ask both, and print exact match and F1 of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    arguments = parser.parse_args()
    squad = load_squad(arguments.file)
    questions = [q for q in sample_questions(squad, limit=arguments.limit, seed=0) if q.answers]
    answers: dict[str, list[str]] = {}
    for name in ("float32", "int8"):
        reader = load(rounded=name == "int8")
        answers[name] = []
        for question in questions:
            paragraph = squad.paragraphs[question.paragraph]
            passage = ReaderPassage(context=context_line(paragraph.title, ()), text=paragraph.text)
            answers[name].append(reader.read(question.question, [passage]).answer)
        references = [[text for text, _ in question.answers] for question in questions]
        pairs = list(zip(answers[name], references, strict=True))
        em, mean_f1 = (sum(metric(*pair) for pair in pairs) / len(pairs) for metric in (exact_match, f1))
        print(f"{name:8} exact match {em:.4f}  F1 {mean_f1:.4f}  ({len(pairs)} questions)")
    same = sum(a == b for a, b in zip(*answers.values(), strict=True)) / len(questions)
    print(f"the same answer to {same:.1%}")


if __name__ == "__main__":
    main()

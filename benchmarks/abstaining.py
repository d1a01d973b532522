"""How often is a question about something else left unanswered?

    rag ingest examples/handbook && python benchmarks/abstaining.py SQUAD.json [--limit N]

Asks questions of a file in SQuAD format over the ingested handbook, which holds none of their answers.
"""

import argparse
import random
from pathlib import Path

import rag
from rag.training.squad import load_squad


def main() -> None:
    """Ask, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    arguments = parser.parse_args()
    questions = [asked.question for asked in load_squad(arguments.file).questions]
    sample = random.Random(0).sample(questions, min(arguments.limit, len(questions)))
    with rag.open() as service:
        answers = [service.ask(question) for question in sample]
    num_abstained = sum(answer.abstained for answer in answers)
    print(f"{num_abstained} of {len(answers)} withheld ({num_abstained / len(answers):.1%})")


if __name__ == "__main__":
    main()

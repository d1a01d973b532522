"""Ask the thirty questions over the ingested handbook, and say which were answered rightly.

    rag ingest examples/handbook && python examples/ask_handbook.py

A question with an answer counts as right when the answer equals a reference answer after the official normalisation
of SQuAD; one without, when the service abstains.
"""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import rag
from rag.text.normalize_answer import exact_match
from rag.training.squad import load_squad

QUESTIONS = Path(__file__).with_name("questions.json")


def main() -> None:
    """Ask, compare, count."""
    table = Table("", "question", "answer", "expected", "confidence", box=None, pad_edge=False)
    num_right = 0
    squad = load_squad(QUESTIONS)
    with rag.open() as service:
        for asked in squad.questions:
            answer = service.ask(asked.question)
            references = [text for text, _ in asked.answers]
            right = exact_match(answer.answer, references) == 1.0
            num_right += right
            said = "(not in these documents)" if answer.abstained else answer.answer
            expected = " / ".join(references) or "(not in these documents)"
            cells = ["right" if right else "WRONG", asked.question, said, expected, f"{answer.confidence:.2f}"]
            table.add_row(*(Text(cell) for cell in cells))
    out = Console(highlight=False)
    (out if out.is_terminal else Console(highlight=False, width=200)).print(table)
    out.print(f"{num_right} of {len(squad.questions)} answered rightly")


if __name__ == "__main__":
    main()

"""An answer's explanation as a terminal picture."""

from rich.text import Text

from rag.cli.output import console, plain, print_table
from rag.records import Answer, Explanation

BAR_WIDTH = 20


def print_explanation(answer: Answer, explanation: Explanation) -> None:
    """Each token with its source and probabilities, then the weight of each passage."""
    numbers = {hit.passage_id: number for number, hit in enumerate(answer.passages, start=1)}
    out = console()
    if answer.abstained:
        out.print(plain(f"Withheld: {explanation.answer}"))
    print_table(
        ["token", "copied from", "characters", "probability", "copied", ""],
        [
            [
                token.text,
                "(written)" if token.passage_id is None else f"[{numbers[token.passage_id]}]",
                "" if token.start is None else f"{token.start}-{token.end}",
                f"{token.probability:.3f}",
                f"{token.copied:.3f}",
                _bar(token.copied),
            ]
            for token in explanation.tokens
        ],
    )
    weights = dict(zip(explanation.passage_ids, explanation.passage_weights, strict=True))
    out.print(Text("How much of the answer would be copied from each passage:"))
    print_table(
        ["", "weight", "", "relevance", "document"],
        [
            [
                f"[{numbers[hit.passage_id]}]",
                f"{weights.get(hit.passage_id, 0.0):.3f}",
                _bar(weights.get(hit.passage_id, 0.0)),
                "" if hit.scores.relevance is None else f"{hit.scores.relevance:.3f}",
                hit.title,
            ]
            for hit in answer.passages
        ],
    )


def _bar(share: float) -> str:
    filled = round(min(1.0, max(0.0, share)) * BAR_WIDTH)
    return "█" * filled + "·" * (BAR_WIDTH - filled)

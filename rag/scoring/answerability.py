"""answerability: how likely do the passages hold an answer at all?"""

from rag.scoring.scorer import Judged


class Answerability:
    """The generator's own probability, which decides whether it abstains, kept among the scores to be queried."""

    metric = "answerability"
    version = "1"

    def score(self, judged: Judged) -> float | None:
        """0 to 1; None where the generator does not judge it."""
        return judged.answerability

"""confidence: how likely does the generator hold its own answer to be right?"""

from rag.scoring.scorer import Judged


class Confidence:
    """The generator's calibrated confidence, kept among the scores so that it can be queried like them."""

    metric = "confidence"
    version = "1"

    def score(self, judged: Judged) -> float | None:
        """0 to 1."""
        return judged.confidence

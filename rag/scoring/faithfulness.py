"""faithfulness: is each part of the answer supported by what it cites?"""

from rag.scoring.scorer import Judged


class Faithfulness:
    """The generator's judgement, kept among the scores to be queried.

    Of the in-house reader it is the probability that the cited passage, read alone, supports the words copied from it
    as the answer to the question (``rag.reader.evidence``); of a language model the share of its words that stand in
    claims which the cited passages support (``rag.generators.grounding``). Named after the metric of RAGAS (Es et al.,
    2023).
    """

    metric = "faithfulness"
    version = "1"

    def score(self, judged: Judged) -> float | None:
        """0 to 1; None where the generator does not judge it."""
        return judged.faithfulness

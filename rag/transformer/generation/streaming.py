"""Text from tokens that arrive one at a time: whole characters only, and nothing twice."""

from rag.transformer.tokenization import TextTokenizer

REPLACEMENT = "\ufffd"
MAX_REPLACED = 3
"""Of a character of four bytes, three may have come; some tokenizers show each of them as a replacement character."""


def whole_characters(text: str) -> str:
    """``text`` without the replacement characters at its end that may stand for a character half written."""
    bare = text.rstrip(REPLACEMENT)
    return text[: max(len(bare), len(text) - MAX_REPLACED)]


class IncrementalDecoder:
    """Decodes a growing list of tokens by its newest part.

    A few tokens before the new ones are decoded with them, because many tokenizers treat the first token of a text
    differently (they drop its space, or put none before it).
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._num_known = 0  # tokens of the window whose text was passed on whole
        self._num_passed = 0  # characters of the window's text that were passed on

    def push(self, token_id: int) -> str:
        """The characters that ``token_id`` completes."""
        self._window.append(token_id)
        text = self._tokenizer.decode(self._window)
        whole = whole_characters(text)
        new = whole[self._num_passed :]
        self._num_passed = max(self._num_passed, len(whole))
        if len(whole) == len(text) and new:
            # The tokens that gave the newest characters are the next ones' context.
            self._window = self._window[self._num_known :]
            self._num_known = len(self._window)
            self._num_passed = len(self._tokenizer.decode(self._window))
        return new

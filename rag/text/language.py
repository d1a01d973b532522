"""Which language a question or a passage is in, where that is a language that the models do not know.

The detector is py3langid (Barbaresi's upkeep of Lui and Baldwin, 2012, "langid.py"): naive Bayes over byte n-grams,
small and offline. Alone it takes one short English question in a hundred for another language, those with foreign names
above all; so a text with English words that no name is made of counts as English where it is short.
"""

import re
from collections.abc import Collection
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_PROBABILITY = 0.2
"""Of the likeliest language. Below it the text is too short to tell."""
MAX_CHARS = 1_000
"""What follows of a longer text is not looked at."""
_SHORT = 200
"""Up to so many characters, names alone can tip the balance."""
_ENGLISH_WORDS = (
    "the who whom whose what which when where why how did does are were been with from this that they their these "
    "those there and about tell explain describe should would could between into year many much please"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
"""English words that are hardly ever a word of a language in the same letters, and never a name."""
_WORD = re.compile(r"[a-z]+(?=\W|$)")
_LETTER = re.compile(r"[^\W\d_]")
_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "ko": "Korean", "la": "Latin", "lb": "Luxembourgish",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "mt": "Maltese", "nb": "Norwegian", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian",
    "no": "Norwegian", "oc": "Occitan", "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip


class LanguageDetector:
    """Tells languages that are not known from those that are. Safe to share between threads."""

    def __init__(self, known: Collection[str]) -> None:
        """``known`` are ISO 639-1 codes; none: nothing is ever found unknown, and nothing is loaded."""
        self._known = frozenset(known)

    @property
    def known_names(self) -> str:
        """The languages that are known, as words: ``English or German``."""
        return " or ".join(sorted(language_name(code) for code in self._known))

    def unknown_language(self, text: str) -> str | None:
        """The code of the language of a text, where it is told with some certainty and not among those known."""
        text = text[:MAX_CHARS]
        if not self._known or not _LETTER.search(text):
            return None
        if "en" in self._known and _has_english_words(text):
            return None
        code, probability = _identifier().classify(text)
        return None if code in self._known or probability < MIN_PROBABILITY else code

    def load(self) -> None:
        """Load the model now, so that the first question need not wait for it."""
        if self._known:
            _identifier()


@cache
def _identifier() -> LanguageIdentifier:
    """One for all detectors: nothing is changed in it, and its file takes half a second to unpack."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_name(code: str) -> str:
    """The English name of a language, or its code in words where that has none here."""
    return _NAMES.get(code, f"another language ({code})")


def _has_english_words(text: str) -> bool:
    """Whether a short text has a word that only English has, while most of its letters are Latin."""
    letters = _LETTER.findall(text)
    if len(text) > _SHORT or 2 * sum(letter.isascii() for letter in letters) < len(letters):
        return False
    return any(word in _ENGLISH for word in _WORD.findall(text.casefold()))

"""Encryption of the log by column: AES-256 in Galois/Counter Mode (NIST SP 800-38D), from the library ``cryptography``.

What is stored is ``rag-encrypted:1:KEY:…``, with the id of its key, so that several keys can be in use at a time; the
bytes behind it are a random nonce of 96 bits, the ciphertext and its tag, in base64. NULL and the empty text, which a
withheld answer has, stay as they are.

A text that is stored plain and begins as if it were encrypted gets a mark in front, which reading takes off again.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Dialect

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.column_types import PlainText

NUM_KEY_BYTES = 32
_NUM_NONCE_BYTES = 12
ENCRYPTED_BEGINNING = "rag-encrypted:"
"""How everything begins that is encrypted."""
_PLAIN = "rag-plain:"
_FORM = re.compile(rf"{ENCRYPTED_BEGINNING}1:([0-9a-f]{{8}}):([A-Za-z0-9_-]+={{0,2}})")
HOW_TO = "`rag logs new-key` prints one"


class LogCipher:
    """Encrypts with the first of its keys and reads what any of them has encrypted; without keys, only plain text."""

    def __init__(self, keys: Sequence[bytes] = (), *, writes_plain: bool = False) -> None:
        """``writes_plain``: what is stored from now on is not encrypted, though the keys are there to read."""
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self.current = None if writes_plain or not keys else key_id(keys[0])
        self.has_keys = bool(keys)

    @property
    def prefix(self) -> str | None:
        """How everything begins that is stored as it would be now; None: plain."""
        return None if self.current is None else f"{ENCRYPTED_BEGINNING}1:{self.current}:"

    def encrypt(self, words: str) -> str:
        """What is stored of a text."""
        if not words:
            return words
        if self.current is None:
            return f"{_PLAIN}{words}" if words.startswith((ENCRYPTED_BEGINNING, _PLAIN)) else words
        nonce = os.urandom(_NUM_NONCE_BYTES)
        sealed = self._keys[self.current].encrypt(nonce, words.encode(), None)
        return f"{self.prefix}{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def decrypt(self, stored: str) -> str:
        """The text behind what is stored.

        Raises:
            StoreUnavailable: its key is not among these, or it is damaged.
        """
        if stored.startswith(_PLAIN):
            return stored.removeprefix(_PLAIN)
        if not stored.startswith(ENCRYPTED_BEGINNING):
            return stored
        found = _FORM.fullmatch(stored)
        if found is None:
            raise StoreUnavailable("An encrypted text of the log is damaged; restore a backup.")
        key = self._keys.get(found[1])
        if key is None:
            named = f"log_keys has {', '.join(self._keys)}" if self._keys else "log_keys is not set"
            raise StoreUnavailable(
                f"The log is encrypted with the key {found[1]}, and {named}; add that key to log_keys or log_keys_file."
            )
        try:
            sealed = base64.urlsafe_b64decode(found[2])
            return key.decrypt(sealed[:_NUM_NONCE_BYTES], sealed[_NUM_NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise StoreUnavailable("An encrypted text of the log is damaged; restore a backup.") from error


PLAIN = LogCipher()
"""For a log that is not encrypted."""
_ciphers: WeakKeyDictionary[Dialect, LogCipher] = WeakKeyDictionary()


def new_key() -> str:
    """A key, as the settings take it."""
    return base64.urlsafe_b64encode(os.urandom(NUM_KEY_BYTES)).decode()


def key_id(key: bytes) -> str:
    """The name of a key; nothing of the key can be told from it."""
    return hashlib.sha256(b"rag log key " + key).hexdigest()[:8]


def parse_keys(words: str) -> list[bytes]:
    """Keys in base64, between blanks, commas or lines; what follows a # is left out.

    Raises:
        InvalidInput: one of them is no key.
    """
    found = [part for line in words.splitlines() for part in re.split(r"[\s,]+", line.partition("#")[0]) if part]
    keys = []
    for number, part in enumerate(found, 1):
        try:
            key = base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != NUM_KEY_BYTES:
            raise InvalidInput(f"The log's key number {number} is not {NUM_KEY_BYTES} bytes in base64; {HOW_TO}.")
        keys.append(key)
    return list(dict.fromkeys(keys))


def use_cipher(dialect: Dialect, cipher: LogCipher) -> None:
    """Let the connections of an engine with this dialect encrypt and decrypt with it."""
    _ciphers[dialect] = cipher


def cipher_of(dialect: Dialect) -> LogCipher:
    """The cipher of an engine."""
    return _ciphers.get(dialect, PLAIN)


class DecryptedText(PlainText):
    """Text that is read where it may be encrypted, as in views; what it is compared with stays as it is."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """The words. Raises StoreUnavailable where they cannot be decrypted."""
        return None if value is None else cipher_of(dialect).decrypt(value)


class EncryptedText(DecryptedText):
    """Text that is stored encrypted where there is a key."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is stored. Raises InvalidInput as ``PlainText`` does."""
        checked = super().process_bind_param(value, dialect)
        return None if checked is None else cipher_of(dialect).encrypt(checked)

"""Reading files that are not in the database, by ``file:`` or ``https:``. What was read is checked by whoever asked.

Redirects are not followed, and the proxies and passwords of the environment are not used.
"""

from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import httpx2

from rag.errors import InvalidInput, ModelError
from rag.registry.folder_files import Pieces, pieces_of
from rag.store.models import PART_BYTES

TIMEOUT_S = 30.0
"""To connect, and of silence; the whole of a file may take as long as it takes."""


def uri_within(base: str, path: str) -> str:
    """The URI of a file below ``base``, which every process reads that needs the model.

    Raises:
        InvalidInput: ``base`` is no file: or https: URI, or holds a password, a query or a fragment.
    """
    try:
        url = urlsplit(base)
        url.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise InvalidInput(f"{base} is no URI ({error}).") from error
    is_file = url.scheme == "file" and url.netloc in ("", "localhost") and url.path.startswith("/")
    if not is_file and not (url.scheme == "https" and url.hostname):
        raise InvalidInput(f"{base} is no place for files of a model; write https://HOST/PATH or file:///PATH.")
    if url.username or url.password or url.query or url.fragment:
        raise InvalidInput("The URI of files is kept and shown: it must hold no user, password, query or fragment.")
    return f"{base.rstrip('/')}/{quote(path)}"


def read_uri(uri: str) -> Pieces:
    """The bytes of a file, piece by piece. Unchecked: the caller compares size and hash.

    Raises:
        ModelError: it cannot be read from there.
    """
    url = urlsplit(uri)
    if url.scheme == "file":
        try:
            yield from pieces_of(Path(url2pathname(url.path)))
        except OSError as error:
            raise ModelError(f"{uri} cannot be read ({error.strerror}); put the file there again.") from error
    elif url.scheme == "https":
        yield from _read_https(uri)
    else:
        raise ModelError(f"{uri} is neither a file: nor an https: URI; add the model again.")


def _read_https(uri: str) -> Pieces:
    client = httpx2.Client(verify=httpx2.create_ssl_context(), trust_env=False, timeout=TIMEOUT_S)
    try:
        with client, client.stream("GET", uri, headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code != httpx2.codes.OK:
                raise ModelError(f"{uri} cannot be read (status {response.status_code}); put the file there again.")
            yield from response.iter_raw(PART_BYTES)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise ModelError(f"{uri} cannot be read ({reason}); see that its server answers.") from error

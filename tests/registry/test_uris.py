"""Files of models from a real HTTPS server and from ``file:`` URIs; what cannot be read is one sentence."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rag.errors import InvalidInput, ModelError
from rag.registry.uris import read_uri, uri_within


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and sends whoever asks for ``/moved`` elsewhere."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/weights.safetensors")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server, and its certificate; it serves ``tmp_path / "served"``."""
    (tmp_path / "served").mkdir()
    certificate = make_certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def test_https_gives_the_bytes_and_says_what_is_missing(
    https_server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = https_server
    content = bytes(range(256)) * 8_000
    (tmp_path / "served/weights.safetensors").write_bytes(content)
    uri = uri_within(f"{url}/", "weights.safetensors")
    with pytest.raises(ModelError, match="certificate"):
        list(read_uri(uri))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # not used
    pieces = list(read_uri(uri))
    assert len(pieces) > 1
    assert b"".join(pieces) == content
    with pytest.raises(ModelError, match="status 404"):
        list(read_uri(f"{url}/none.safetensors"))
    with pytest.raises(ModelError, match="status 302"):
        list(read_uri(f"{url}/moved"))


def test_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ModelError, match="see that its server answers"):
        list(read_uri("https://127.0.0.1:9/weights.safetensors"))


def test_file_uri_is_read_whatever_its_name_holds(tmp_path: Path) -> None:
    (tmp_path / "of all").mkdir()
    (tmp_path / "of all/weights 50%.safetensors").write_bytes(b"tensors")
    uri = uri_within((tmp_path / "of all").as_uri(), "weights 50%.safetensors")
    assert b"".join(read_uri(uri)) == b"tensors"
    with pytest.raises(ModelError, match="No such file"):
        list(read_uri(f"{tmp_path.as_uri()}/none"))


@pytest.mark.parametrize(
    "base", ["http://models.example/a", "/models", "file://other.example/a", "https://", "s3://a/b"]
)
def test_other_places_are_refused(base: str) -> None:
    with pytest.raises(InvalidInput, match="write https://"):
        uri_within(base, "a.safetensors")


@pytest.mark.parametrize(
    "base", ["https://me:secret@models.example/", "https://m.example/?key=secret", "https://m.example/#a"]
)
def test_secret_in_a_uri_is_refused_and_not_repeated(base: str) -> None:
    with pytest.raises(InvalidInput, match="must hold no user, password") as refused:
        uri_within(base, "a.safetensors")
    assert "secret" not in str(refused.value)


def test_uri_that_somebody_wrote_into_the_database_is_not_followed_everywhere() -> None:
    with pytest.raises(ModelError, match="neither a file: nor an https:"):
        list(read_uri("http://127.0.0.1/a"))

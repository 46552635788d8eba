"""Self-signed certificates, made by the openssl command; tests that need one are skipped where it is absent."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, names: str) -> Path:
    """A PEM file with certificate and key. `names` is a subjectAltName: `IP:127.0.0.1,DNS:localhost`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made = folder / "certificate.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=batcher test", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, "-keyout", folder / "key.pem", "-out", made], check=True, capture_output=True)
    made.write_text(made.read_text() + (folder / "key.pem").read_text())
    return made


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context

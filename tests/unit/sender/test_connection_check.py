"""Testing the connection to an endpoint step by step, beyond what the tests of `batcher doctor` cover."""

import socket
import threading

import pytest

from batcher.domain.states import FaultKind
from batcher.sender.connection_check import check_connection


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def silent():
    """Somebody who accepts, reads, and hangs up without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            try:
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(1 << 16)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_who_speaks_no_tls_is_told_at_tls(silent):
    dns, tcp, tls = check_connection(f"https://{silent}/v1", ca_file=None, use_proxy=True)
    assert (dns.ok, tcp.ok, tls.ok, tls.fault) == (True, True, False, FaultKind.TLS)
    assert silent in tls.evidence


def test_a_proxy_that_hangs_up_is_told_at_tls(silent, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{silent}")
    tls = check_connection("https://api.invalid/v1", ca_file=None, use_proxy=True)[2]
    assert (tls.ok, tls.evidence) == (False, "the proxy closed the connection")


def test_within_a_proxys_own_tls_no_handshake_is_tried(silent, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"https://{silent}")
    dns, tcp, tls = check_connection("https://api.invalid/v1", ca_file=None, use_proxy=True)
    assert (dns.ok, tcp.ok, tls.ok) == (True, True, None)
    assert "the proxy" in dns.evidence
    assert "the proxy's own TLS" in tls.evidence


def test_a_proxy_that_is_not_there_is_told_as_the_proxy(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    tcp = check_connection("http://api.invalid/v1", ca_file=None, use_proxy=True)[1]
    assert (tcp.ok, tcp.fault) == (False, FaultKind.REFUSED)
    assert f"the proxy 127.0.0.1:{port}" in tcp.evidence


def test_the_simulator_is_reached_without_the_proxy(silent, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    steps = check_connection(f"http://{silent}/v1", ca_file=None, use_proxy=False)
    assert [step.ok for step in steps] == [True, True, None]

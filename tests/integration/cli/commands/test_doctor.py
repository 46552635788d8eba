"""`batcher doctor`: each check in its own light, and what would mend it."""

import json
import socket
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from batcher.services.diagnostics.doctor_report import CHECKS
from tests.support.certificates import make_certificate, server_context
from tests.support.commands import batcher
from tests.support.endpoints import ANSWER, MODELS, Says, connect_proxy, endpoint, error, well
from tests.support.jobs import rows, run_job
from tests.support.programs import provider, replying

KEY = "sk-proj-canary0Doctor1Key2xyz9"
PAGE = "<html><head><title>Welcome</title></head><body>Please log in</body></html>"


@pytest.fixture(autouse=True)
def place(folder, monkeypatch):
    for name in ("ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return folder


def ask(url, *more):
    """The diagnosis, with its checks by name."""
    called = batcher("doctor", "--json", "--base-url", url, *more)
    told = called.json
    assert [check["name"] for check in told["checks"]] == list(CHECKS)
    assert called.code == (0 if told["ok"] else 1)
    assert told["ok"] == all(check["ok"] is not False for check in told["checks"])
    assert all(check["fix"] for check in told["checks"] if check["ok"] is False)
    return told, {check["name"]: check for check in told["checks"]}


def states(checks):
    return {name: check["ok"] for name, check in checks.items()}


def failing(**checks):
    """What is expected where all else is well."""
    return dict.fromkeys(CHECKS, True) | checks


def test_a_wrong_key_in_a_header_of_ones_own_is_named_with_its_variable(monkeypatch, place):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("AZURE_KEY", KEY)
    (place / "batcher.toml").write_text('[provider.headers]\napi-key = "AZURE_KEY"\n', encoding="utf-8")
    with provider(api_key="another-key-0123456789") as simulated:
        _, checks = ask(simulated.url)
    assert "AZURE_KEY, which holds the header api-key" in checks["models"]["fix"]
    assert "--api-key-env" not in checks["models"]["fix"]


def test_all_is_well_with_a_provider_that_is(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with provider(api_key=KEY, rpm=600, tpm=90_000) as simulated:
        told, checks = ask(simulated.url)
        assert simulated.requests == 3
    assert told["ok"] is True
    assert states(checks) == failing()
    assert (told["base_url"], told["model"]) == (simulated.url, "gpt-4o-mini")
    assert "5 models: gpt-4o-mini, gpt-4o" in checks["models"]["evidence"]
    assert "1 out" in checks["request"]["evidence"]
    assert "request id req_" in checks["request"]["evidence"]
    assert "HTTP 400" in checks["rejection"]["evidence"]
    assert "600 requests a minute" in checks["limits"]["evidence"]
    assert "90,000 tokens a minute" in checks["limits"]["evidence"]
    assert [part["name"] for part in checks["network"]["parts"]] == ["dns", "tcp", "tls"]
    assert all(isinstance(check["seconds"], float) for check in told["checks"])


def test_people_read_a_line_a_check_with_its_milliseconds():
    called = batcher("doctor", "--simulate")
    assert (called.code, called.err) == (0, "")
    for name in (*CHECKS, "  dns", "  tcp"):
        assert any(line.startswith(name) and " ok " in line and " ms" in line for line in called.out.split("\n"))
    assert called.out.endswith("no check failed; start with `batcher run FILE`\n")


def test_a_wrong_key_is_told_at_the_models_and_nothing_more_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with provider(api_key="another") as simulated:
        told, checks = ask(simulated.url, "--model", "gpt-4o")
        assert simulated.requests == 1
    assert states(checks) == failing(models=False, request=None, rejection=None, limits=None)
    assert "HTTP 401, invalid_api_key" in checks["models"]["evidence"]
    assert "--api-key-env" in checks["models"]["fix"]
    assert KEY[8:16] not in json.dumps(told)
    assert KEY[-4:] not in json.dumps(told)


def test_a_missing_key_is_told_by_its_variable_and_the_network_is_tried_all_the_same(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    told, checks = ask("https://api.invalid/v1", "--api-key-env", "MY_KEY")
    assert checks["config"]["ok"] is True
    assert checks["credentials"]["ok"] is False
    assert "MY_KEY is not set" in checks["credentials"]["evidence"]
    assert checks["network"]["ok"] is False
    assert checks["models"] == {
        **checks["models"],
        "ok": None,
        "evidence": "there is no key to send",
    }
    assert told["ok"] is False


def test_a_wrong_path_is_told_with_the_base_url():
    with provider() as simulated:
        told, checks = ask(simulated.url.removesuffix("/v1") + "/api")
    assert states(checks) == failing(models=False, request=None, rejection=None, limits=None)
    assert "HTTP 404" in checks["models"]["evidence"]
    assert "--base-url" in checks["models"]["fix"]
    assert "--model" in checks["models"]["fix"]
    assert told["model"] is None


def test_a_wrong_path_with_a_model_is_told_by_the_request():
    with provider() as simulated:
        _, checks = ask(simulated.url.removesuffix("/v1") + "/api", "--model", "gpt-4o")
    assert states(checks) == failing(models=None, request=False, rejection=None)
    assert "--base-url" in checks["request"]["fix"]


def test_a_port_on_which_nobody_listens_is_told_at_tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    _, checks = ask(f"http://127.0.0.1:{port}/v1")
    parts = {part["name"]: part for part in checks["network"]["parts"]}
    assert (parts["dns"]["ok"], parts["tcp"]["ok"], parts["tls"]["ok"]) == (True, False, None)
    assert "Connection refused" in parts["tcp"]["evidence"]
    assert "start the server" in checks["network"]["fix"]
    assert states(checks) == failing(network=False, models=None, request=None, rejection=None, limits=None)
    assert checks["models"]["evidence"] == "network failed"


def test_a_name_that_nobody_has_is_told_at_dns(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    _, checks = ask("https://nobody.invalid/v1")
    parts = {part["name"]: part["ok"] for part in checks["network"]["parts"]}
    assert parts == {"dns": False, "tcp": None, "tls": None}
    assert "nobody.invalid:443 cannot be found" in checks["network"]["evidence"]


def test_a_certificate_that_is_not_trusted_is_told_at_tls_and_mended_by_a_ca_file(place):
    certificate = make_certificate(place, "IP:127.0.0.1")
    with endpoint(well, context=server_context(certificate)) as secure:
        _, checks = ask(secure.url)
        parts = {part["name"]: part for part in checks["network"]["parts"]}
        assert (parts["tcp"]["ok"], parts["tls"]["ok"]) == (True, False)
        assert "self-signed certificate" in parts["tls"]["evidence"]
        assert "--ca-file" in parts["tls"]["fix"]
        assert secure.came == []
        _, checks = ask(secure.url, "--ca-file", str(certificate))
    assert states(checks) == failing()
    tls = checks["network"]["parts"][2]
    assert "certificate by batcher test, valid until" in tls["evidence"]


def test_a_page_in_place_of_the_api_is_told_with_the_base_url():
    with endpoint(lambda _: Says(200, PAGE)) as site:
        _, checks = ask(site.url)
    assert states(checks) == failing(models=False, request=None, rejection=None, limits=None)
    assert "an HTML page: Welcome" in checks["models"]["evidence"]
    assert "--base-url" in checks["models"]["fix"]


def test_an_endpoint_that_takes_bad_requests_is_a_warning():
    def lenient(came):
        return Says(200, MODELS if came.method == "GET" else ANSWER)

    with endpoint(lenient) as site:
        told, checks = ask(site.url)
    assert states(checks) == failing()
    assert told["ok"] is True
    assert "warning: a request without messages is accepted" in checks["rejection"]["evidence"]
    assert "batcher check" in checks["rejection"]["fix"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Says(500, error("boom")), "HTTP 500, as JSON"),
        (Says(502, PAGE), "HTTP 502, in HTML"),
        (Says(400, PAGE), "HTTP 400"),
        (Says(404, error("what?")), "HTTP 404"),
    ],
)
def test_a_bad_request_that_is_not_refused_cleanly_is_told(reply, says):
    def rough(came):
        is_bad = came.method == "POST" and "messages" not in came.json
        return reply if is_bad else well(came)

    with endpoint(rough) as site:
        _, checks = ask(site.url)
    assert states(checks) == failing(rejection=False)
    assert says in checks["rejection"]["evidence"]


def test_an_endpoint_without_a_list_needs_a_model_and_does_with_one():
    def without(came):
        return Says(404, {"detail": "Not Found"}) if came.method == "GET" else well(came)

    with endpoint(without) as site:
        _, checks = ask(site.url)
        assert states(checks) == failing(models=False, request=None, rejection=None, limits=None)
        assert "--model" in checks["models"]["fix"]
        assert "--model" in checks["request"]["evidence"]
        told, checks = ask(site.url, "--model", "mine")
    assert states(checks) == failing(models=None)
    assert told["model"] == "mine"
    assert "HTTP 404" in checks["models"]["evidence"]


def test_of_the_models_listed_one_to_chat_with_is_asked():
    with endpoint(well) as site:
        told, _ = ask(site.url)
    assert told["model"] == "chatty"
    assert told["models"] == ["text-embedding-x", "chatty"]
    assert site.came[1].json == {
        "model": "chatty",
        "messages": [{"role": "user", "content": "Say ok."}],
        "max_tokens": 1,
    }


@pytest.mark.parametrize("models", [[{"id": "a"}], {"models": [{"name": "models/a"}]}])
def test_lists_of_models_of_other_providers_are_read(models):
    with endpoint(lambda came: Says(200, models) if came.method == "GET" else well(came)) as site:
        told, _ = ask(site.url)
    assert len(told["models"]) == 1


def test_an_endpoint_that_serves_no_model_is_told():
    with endpoint(lambda came: Says(200, {"data": []}) if came.method == "GET" else well(came)) as site:
        _, checks = ask(site.url)
    assert checks["models"]["ok"] is False
    assert "no model is served" in checks["models"]["evidence"]


def test_a_reasoning_model_is_asked_again_with_max_completion_tokens():
    def reasoning(came):
        if came.method == "POST" and "max_tokens" in came.json:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Says(400, error(message, code="unsupported_parameter", param="max_tokens"))
        return well(came)

    with endpoint(reasoning) as site:
        _, checks = ask(site.url, "--model", "o9")
    assert states(checks) == failing()
    assert site.came[2].json["max_completion_tokens"] == 16


@pytest.mark.parametrize(
    ("reply", "says", "fix"),
    [
        (Says(429, error("You exceeded your current quota", code="insufficient_quota")), "quota", "add credit"),
        (Says(429, error("Slow down", code="rate_limit_exceeded")), "Slow down", "wait a minute"),
        (Says(404, error("The model `m` does not exist", code="model_not_found")), "model_not_found", "model"),
        (Says(503, error("The server is starting")), "HTTP 503", "try again"),
        (Says(400, error("Odd parameter")), "Odd parameter", "--model"),
    ],
)
def test_a_tiny_request_that_fails_is_told_with_its_way_out(reply, says, fix):
    with endpoint(lambda came: well(came) if came.method == "GET" else reply) as site:
        _, checks = ask(site.url)
    assert states(checks) == failing(request=False, rejection=None)
    assert says in checks["request"]["evidence"]
    assert fix in checks["request"]["fix"]


def test_an_endpoint_that_never_answers_is_told_in_time():
    over = threading.Event()

    def hang(came):
        if came.method == "POST":
            over.wait(10)
        return well(came)

    with endpoint(hang) as site:
        _, checks = ask(site.url, "--timeout", "0.3")
        over.set()
    assert states(checks) == failing(request=False, rejection=None, limits=None)
    assert "within 0.3 s" in checks["request"]["evidence"]
    assert "--timeout" in checks["request"]["fix"]


def test_limits_that_are_given_stand_beside_those_announced():
    with provider(rpm=60) as simulated:
        _, checks = ask(simulated.url, "--rpm", "500")
    assert "60 requests a minute" in checks["limits"]["evidence"]
    assert "given: 500 requests a minute" in checks["limits"]["evidence"]


def test_without_any_limit_the_rate_is_said_to_adapt():
    with endpoint(well) as site:
        _, checks = ask(site.url)
    assert "adapts" in checks["limits"]["evidence"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--base-url", "ftp://somewhere"], "--base-url"),
        (["--ca-file", "nowhere.pem"], "nowhere.pem"),
        (["--rpm", "many"], "--rpm"),
    ],
)
def test_a_wrong_setting_is_told_as_a_check_and_the_store_is_looked_at_all_the_same(wrong, says):
    called = batcher("doctor", "--json", *wrong)
    assert called.code == 1
    checks = {check["name"]: check for check in called.json["checks"]}
    assert states(checks) == dict.fromkeys(CHECKS, None) | {"config": False, "store": True}
    assert says in checks["config"]["evidence"]


def test_a_settings_file_that_is_wrong_is_told(place):
    (place / "batcher.toml").write_text("[provider]\nbase_ulr = 'x'\n")
    called = batcher("doctor", "--json")
    assert called.code == 1
    assert "base_ulr" in called.json["checks"][0]["evidence"]


def test_a_sound_store_is_reported_with_what_the_machine_has_left(place):
    run_job(place, rows(answered=1))
    with endpoint(well) as site:
        _, checks = ask(site.url)
    evidence = checks["store"]["evidence"]
    for fact in ("batcher.db is sound", "SQLite 3.", "log ", " free", "open files"):
        assert fact in evidence


def test_a_damaged_store_is_told(place):
    run_job(place, rows(answered=30))
    path = place / "batcher.db"
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xa5" * (len(content) - 4096 - 8192)
    path.write_bytes(content)
    with endpoint(well) as site:
        _, checks = ask(site.url)
    assert states(checks) == failing(store=False)
    assert "backup" in checks["store"]["fix"]


def test_wrong_counts_are_told_with_what_corrects_them(place):
    run_job(place, rows(answered=1))
    with closing(sqlite3.connect(place / "batcher.db")) as connection, connection:
        connection.execute("UPDATE job_counts SET completed = completed + 1")
    with endpoint(well) as site:
        _, checks = ask(site.url)
    assert states(checks) == failing(store=False)
    assert "wrong counts of job 1" in checks["store"]["evidence"]
    assert "batcher db compact" in checks["store"]["fix"]


def test_a_store_that_is_not_there_is_not_made(place):
    with endpoint(well) as site:
        _, checks = ask(site.url)
    assert checks["store"]["ok"] is True
    assert "does not exist yet" in checks["store"]["evidence"]
    assert list(place.iterdir()) == []


def test_a_store_in_a_folder_that_is_not_there_is_told():
    with endpoint(well) as site:
        _, checks = ask(site.url, "--db", "nowhere/batcher.db")
    assert checks["store"]["ok"] is False


def test_through_a_proxy_each_step_says_so(place, monkeypatch):
    certificate = make_certificate(place, "IP:127.0.0.1")
    with endpoint(well, context=server_context(certificate)) as secure, connect_proxy() as (url, heads):
        monkeypatch.setenv("HTTPS_PROXY", url.replace("//", "//user:hush@"))
        _, checks = ask(secure.url, "--ca-file", str(certificate))
    assert states(checks) == failing()
    dns, tcp, tls = checks["network"]["parts"]
    assert all("the proxy" in part["evidence"] for part in (dns, tcp, tls))
    assert "proxy 127.0.0.1:" in checks["config"]["evidence"]
    assert "hush" not in json.dumps(checks)
    assert "Proxy-Authorization: Basic" in heads[0]


def test_a_proxy_that_refuses_the_tunnel_is_told_at_tls(place, monkeypatch):
    certificate = make_certificate(place, "IP:127.0.0.1")
    with endpoint(well, context=server_context(certificate)) as secure, connect_proxy(refuses=407) as (url, _):
        monkeypatch.setenv("HTTPS_PROXY", url)
        _, checks = ask(secure.url, "--ca-file", str(certificate))
    tls = checks["network"]["parts"][2]
    assert (tls["ok"], tls["evidence"]) == (False, "the proxy answered 407")


def test_the_note_says_what_works_and_holds_no_key(place, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with provider(api_key=KEY, rpm=600) as simulated:
        called = batcher("doctor", "--save", "note.md", "--base-url", simulated.url + "?api-version=1&code=hush")
    assert called.code == 0
    assert "report written to note.md" in called.err
    text = (place / "note.md").read_text()
    assert stat.S_IMODE((place / "note.md").stat().st_mode) == 0o600
    assert text.startswith("# batcher doctor, 20")
    for fact in (
        "every check passed",
        f"base URL: {simulated.url}?api-version=1&code=…",
        "key variable: OPENAI_API_KEY",
        "models seen (5): gpt-4o-mini",
        "rpm 600",
        "- sqlite 3.",
        "| network: tcp | ok |",
    ):
        assert fact in text
    assert KEY[8:] not in text
    assert "hush" not in text + called.out


def test_a_note_of_what_fails_says_so_and_takes_the_place_of_an_older_one(place):
    assert batcher("doctor", "--simulate", "--save", "note.md").code == 0
    with endpoint(lambda _: Says(200, PAGE)) as site:
        assert batcher("doctor", "--save", "note.md", "--base-url", site.url).code == 1
    assert "FAILED: models" in (place / "note.md").read_text()


@pytest.mark.parametrize("target", ["mine.txt", "nowhere/note.md", "."])
def test_a_note_never_takes_the_place_of_something_else(place, target):
    (place / "mine.txt").write_text("dear")
    called = batcher("doctor", "--simulate", "--save", target)
    assert (called.code, called.out) == (2, "")
    assert Path("mine.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("reply", "fix"),
    [
        ((401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}), "put a working key"),
        ((404, {"error": {"message": "no such model", "code": "model_not_found"}}), "--model names another"),
        ((429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}), "add credit"),
        ((405, {"error": {"message": "Method not allowed"}}), "check --base-url"),
    ],
)
def test_the_doctor_sends_nobody_to_the_doctor(reply, fix, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with replying(lambda *_: reply) as (server, _):
        called = batcher("doctor", "--base-url", server.url, "--model", "m")
    assert called.code == 1
    fixes = [line for line in called.out.splitlines() if "→" in line]
    assert any(fix in each for each in fixes)
    assert "batcher doctor" not in called.out
    assert "batcher resume" not in called.out

"""Where the page listens: what is refused in words, who may ask, what it warns of."""

import socket
import threading
import webbrowser
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner
from example import new_checkout
from starlette.testclient import TestClient

from hcga.cli.main import main
from hcga.errors import InputError
from hcga.view.listening import address_of, is_private, listen
from hcga.view.server import serve

checkout = pytest.fixture(scope="module")(new_checkout)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[uvicorn.Server]:
    """The servers that would have run; their sockets are closed instead."""
    servers: list[uvicorn.Server] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        servers.append(self)
        for listener in sockets:
            listener.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return servers


def has_new_addresses() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_refused_in_words(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: taken by another program; give another, or 0"):
            listen("127.0.0.1", port)
        monkeypatch.chdir(checkout)
        result = CliRunner().invoke(main, ["view", "--no-browser", "--port", str(port)])
        assert result.exit_code == 1
        assert "taken by another program" in result.output
        assert isinstance(result.exception, SystemExit)  # no traceback


@pytest.mark.parametrize("host", ["no such host", "a..b"])
def test_an_unknown_host_is_refused_in_words(host: str) -> None:
    with pytest.raises(InputError, match=rf"--host {host}: no such host .*; leave it out"):
        listen(host, 0)


def test_another_machines_address_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"--host 192\.0\.2\.1 --port 0: cannot listen there .*of this machine"):
        listen("192.0.2.1", 0)  # of those kept for documentation: nobody has it


@pytest.mark.parametrize(
    ("host", "shown", "private"),
    [("127.0.0.1", "127.0.0.1", True), ("localhost", "localhost", True), ("0.0.0.0", "localhost", False)],
)
def test_addresses_for_the_browser(host: str, shown: str, private: bool) -> None:
    with listen(host, 0) as listener:
        assert address_of(listener, host) == f"http://{shown}:{listener.getsockname()[1]}/"
        assert is_private(listener) == private


@pytest.mark.skipif(not has_new_addresses(), reason="no IPv6 on this machine")
def test_the_new_loopback_address(checkout: Path, served: list[uvicorn.Server], capsys: pytest.CaptureFixture) -> None:
    serve(checkout, "::1", 0, False)
    assert capsys.readouterr().out.startswith("http://[::1]:")
    assert asked_as(served, "[::1]:80") == 200


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 400), ("localhost", 400), ("0.0.0.0", 200)])
def test_foreign_names_are_refused_unless_others_are_let_in(
    checkout: Path, served: list[uvicorn.Server], capsys: pytest.CaptureFixture[str], host: str, status: int
) -> None:
    serve(checkout, host, 0, False)
    assert asked_as(served, "evil.example") == status
    assert asked_as(served, "127.0.0.1:80") == 200
    assert asked_as(served, "localhost") == 200
    said = capsys.readouterr()
    warning = f"--host {host}: whoever reaches this machine can look at the people in the pictures\n"
    assert said.err == (warning if status == 200 else "")
    assert said.out.endswith("/  (stop with Ctrl+C)\n")


def test_the_browser_is_sent_to_the_address(
    checkout: Path, served: list[uvicorn.Server], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    sent = threading.Event()
    monkeypatch.setattr(webbrowser, "open", lambda address: (opened.append(address), sent.set()))
    serve(checkout, "127.0.0.1", 0, True)
    assert sent.wait(10)
    assert opened == [capsys.readouterr().out.split()[0]]


def asked_as(served: list[uvicorn.Server], host: str) -> int:
    """The status that the last server's application answers to a name."""
    app = served[-1].config.app
    assert callable(app)
    return TestClient(app, base_url=f"http://{host}").get("/static/view.css").status_code

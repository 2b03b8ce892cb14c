"""Who is to be told that a sweep has ended is told, by a real program and a real server; what fails is said once."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from experiments.notification import Message, send
from experiments.sweep import Notify

MESSAGE = Message(
    sweep="encoders",
    question="Which one? $(touch harmed) `touch harmed`; touch harmed",
    ending="failed",
    sentence="resnet18 leads; 'it' is \"tied\" with none \0of them: Größe.",
    remarks=("vgg11 failed on at least one fold and has no rank.",),
    runs=6,
    done=6,
    failed=3,
    leaderboard=Path("results/encoders.csv"),
)
WRITER = """\
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("SWEEP")}
with open(sys.argv[1], "w") as file:
    json.dump({"arguments": sys.argv[2:], "text": sys.stdin.read(), "environment": told}, file)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that writes down what it is told, in the folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a program.py"
    path.write_text(WRITER, encoding="utf-8")
    return path


def warnings_of(notify: Notify, message: Message = MESSAGE) -> list[str]:
    said: list[str] = []
    send(message, notify, said.append)
    return said


def test_a_command_gets_the_message_and_no_shell(program: Path) -> None:
    command = f"'{sys.executable}' '{program}' told.json '$(touch harmed)' ; touch harmed > x"
    assert warnings_of(Notify(command=command)) == []
    told = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert told["arguments"] == ["$(touch harmed)", ";", "touch", "harmed", ">", "x"]
    assert told["text"] == MESSAGE.text
    assert told["text"].splitlines()[0] == "Sweep encoders: failed, 3 of 6 runs complete, 3 failed"
    assert told["environment"]["SWEEP"] == "encoders" and told["environment"]["SWEEP_OUTCOME"] == "failed"
    assert told["environment"]["SWEEP_ANSWER"] == MESSAGE.sentence.replace("\0", "")
    assert sorted(path.name for path in program.parent.iterdir()) == ["a program.py", "told.json"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import sys; sys.exit('no such mailbox')", "ended with 1: no such mailbox"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("import sys; sys.stdin.close()", ""),
    ],
)
def test_a_command_that_fails_is_a_warning(program: Path, script: str, why: str) -> None:
    program.write_text(script, encoding="utf-8")
    said = warnings_of(Notify(command=f"'{sys.executable}' '{program}'"))
    assert [why in line for line in said] == ([True] if why else [])


def test_a_command_that_is_not_there_is_a_warning(program: Path) -> None:
    [said] = warnings_of(Notify(command="no-such-program --now"))
    assert said.startswith("notify.command: no-such-program cannot be run: No such file or directory")
    [said] = warnings_of(Notify(command=f"'{program}'"))
    assert "Permission denied" in said


@pytest.mark.slow
def test_a_command_that_does_not_end_is_ended_with_its_children(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = "open('child', 'w').close(); import time; time.sleep(600)"
    program.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n")
    monkeypatch.setattr("experiments.notification.COMMAND_SECONDS", 3.0)
    [said] = warnings_of(Notify(command=f"'{sys.executable}' '{program}'"))
    assert "was ended after 3 s" in said


class Server(HTTPServer):
    """Answers every request with `status`, and keeps what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.got = 200, list[tuple[str, str, Any]]()

    @property
    def address(self) -> str:
        """Its URL; the path stands for the secret of a real one."""
        return f"http://127.0.0.1:{self.server_port}/secret"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.address}/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the test's output is not the place."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_the_message_as_json(server: Server) -> None:
    assert warnings_of(Notify(webhook=server.address)) == []
    [(path, kind, content)] = server.got
    assert (path, kind) == ("/secret", "application/json")
    assert content == MESSAGE.to_json()
    assert content["outcome"] == "failed" and content["answer"] == MESSAGE.sentence and content["failed"] == 3


def test_an_environment_variable_may_hold_the_webhook(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", server.address)
    assert warnings_of(Notify(webhook="$CHAT_URL")) == []
    assert len(server.got) == 1
    monkeypatch.setenv("CHAT_URL", "file:///etc/passwd")
    [said] = warnings_of(Notify(webhook="$CHAT_URL"))
    assert "CHAT_URL is not set, or it holds no URL" in said and "passwd" not in said
    monkeypatch.delenv("CHAT_URL")
    [said] = warnings_of(Notify(webhook="$CHAT_URL"))
    assert "CHAT_URL is not set" in said


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_a_warning_that_keeps_its_secret(server: Server, status: int) -> None:
    server.status = status
    [said] = warnings_of(Notify(webhook=server.address))
    assert f"notify.webhook: answered {status}" in said and "secret" not in said
    assert len(server.got) == 1, "nor does it follow where it is sent"


def test_a_webhook_that_is_not_there_is_a_warning_that_keeps_its_secret(server: Server) -> None:
    address = server.address
    server.server_close()
    [said] = warnings_of(Notify(webhook=address.replace("127.0.0.1", "127.0.0.2")))
    assert "could not be reached" in said and "secret" not in said


def test_both_are_told_although_one_fails(server: Server) -> None:
    [said] = warnings_of(Notify(webhook=server.address, command="no-such-program"))
    assert "no-such-program" in said and len(server.got) == 1

"""One driver a sweep also where the machines share nothing but a store."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Any

from experiments.storage.store import Store, StoreError
from utils.errors import Problem, UserError


class StoreLease:
    """Held by the driver of a sweep in a store; raises UserError naming the owner if another driver holds it.

    A store knows no locks that fall with their process, so the owner counts on while it lives. A second driver that
    finds a lease watches it for `patience` seconds: if it counts on, the second refuses, else its owner is dead and the
    lease is taken over. No clock of any machine is compared with another's. Two that take over within the same moment
    are told apart when they read what they wrote; should both go on nevertheless, they waste work and harm nothing,
    since a run ends but once (`StoredRun.put_end`).

    beat: seconds between counts.
    """

    def __init__(self, store: Store, sweep: str, beat: float = 5.0, patience: float = 20.0) -> None:
        self._store, self._key = store, f"drivers/{sweep}.json"
        self._beat, self._patience = beat, patience
        self._token, self._count = secrets.token_hex(8), 0
        self._started = datetime.now().isoformat(" ", "seconds")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> StoreLease:
        if not self._store.create(self._key, self._content()):
            self._take_over()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(StoreError):  # then the next driver waits for `patience` seconds
            if self._holder().get("token") == self._token:
                self._store.delete([self._key])

    def _take_over(self) -> None:
        holder = self._holder()
        ends = time.monotonic() + self._patience
        # A driver before this one on the same machine needs no watching: the sweep's lock here has fallen with it.
        here = holder.get("host") == socket.gethostname() and not _lives(holder.get("pid"))
        while not here and time.monotonic() < ends:
            time.sleep(min(self._beat, self._patience) / 2)
            if (now := self._holder()) != holder and now:
                raise UserError(Problem("resources.storage", _refusal(now), value=self._store.url))
        self._store.write(self._key, self._content())
        if (now := self._holder()).get("token") != self._token:
            raise UserError(Problem("resources.storage", _refusal(now), value=self._store.url))

    def _keep(self) -> None:
        while not self._stop.wait(self._beat):
            self._count += 1
            # A store that does not answer is the runs' matter, which have more patience.
            with contextlib.suppress(StoreError):
                self._store.write(self._key, self._content())

    def _content(self) -> bytes:
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": self._started}
        return json.dumps({**owner, "token": self._token, "count": self._count}).encode()

    def _holder(self) -> dict[str, Any]:
        """What the lease says; nothing where there is none, or a damaged one, which is nobody's."""
        try:
            found = json.loads(self._store.read(self._key) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _lives(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _refusal(holder: dict[str, Any]) -> str:
    who = (
        f"process {holder.get('pid')} on {holder.get('host')}, started {holder.get('started')}"
        if holder
        else "another process"
    )
    return (
        f"this sweep is being driven by {who}; wait for it to end, stop it (Ctrl-C in its terminal), "
        "or give this sweep another `name` or store"
    )

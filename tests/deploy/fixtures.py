"""The images of the Dockerfile without a container engine: the files that a stage copies, and what it installs."""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.deploy.dockerfile import copied, stage
from tests.tables import ROOT
from tests.virtual_environments import VirtualEnvironment, shared_folder

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PIP_INSTALL = "pip install --no-cache-dir "
INSTALL_CAPACITY = f"{PIP_INSTALL}--constraint constraints.txt stampede[capacity]"
INSTALL_WHEEL = f"{PIP_INSTALL}--constraint constraints.txt /wheels/*.whl"


@dataclass(frozen=True)
class Image:
    """The working directory of an image and its Python."""

    folder: Path
    venv: VirtualEnvironment

    def run(self, *command: str, program: str = "python") -> subprocess.CompletedProcess[str]:
        return self.venv.run(*command, folder=self.folder, program=program)

    def importable(self, *modules: str) -> set[str]:
        """Return which of these modules can be imported."""
        return self.venv.importable(*modules, folder=self.folder)


def copy_files(name: str, folder: Path) -> None:
    """Copy the files that a stage copies."""
    for source in copied(name):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / source, folder)


def installs(name: str) -> list[str]:
    """Return the `pip install` commands of a stage."""
    return [argument for kind, argument in stage(name) if kind == "RUN" and argument.startswith("pip install")]


@pytest.fixture(scope="session")
def server_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the stage `server`."""

    def build(folder: Path) -> None:
        (command,) = installs("server")
        venv = VirtualEnvironment.create(folder / "venv")
        copy_files("server", folder)
        venv.install(*command.removeprefix(PIP_INSTALL).split(), folder=folder)

    folder = shared_folder(tmp_path_factory, "server-image", build)
    return Image(folder, VirtualEnvironment(folder / "venv"))


@pytest.fixture(scope="session")
def locust_image(tmp_path_factory: pytest.TempPathFactory, wheel_venv: VirtualEnvironment) -> Image:
    """Return the stage `locust`, which installs what the virtual environment of the wheel has."""
    assert installs("locust") == [INSTALL_WHEEL]
    return Image(shared_folder(tmp_path_factory, "locust-image", lambda to: copy_files("locust", to)), wheel_venv)


@pytest.fixture(scope="session")
def capacity_image(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Image:
    """Return the stage `capacity`, with the packages of this environment: those of its extra take long to install."""
    assert installs("capacity") == [INSTALL_WHEEL, INSTALL_CAPACITY]

    def build(folder: Path) -> None:
        venv = VirtualEnvironment.create(folder / "venv")
        copy_files("capacity", folder)
        venv.install("--no-deps", "--no-index", str(wheel), folder=folder)
        (site,) = (folder / "venv").glob("lib/python*/site-packages")
        (site / "packages.pth").write_text(sysconfig.get_path("purelib"))

    folder = shared_folder(tmp_path_factory, "capacity-image", build)
    return Image(folder, VirtualEnvironment(folder / "venv"))

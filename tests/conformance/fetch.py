"""Fetch single files of libraries that are too large to install; `make conformance` runs this.

Each is taken out of the library's own release and lies under `reference/` of the running
environment, where `reference.py` finds it.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """One file of one release."""

    version: str
    member: str


# Pinned: what a dialect promises is one version of its library.
SOURCES = {
    "deepspeed": Source("0.19.8", "deepspeed/runtime/lr_schedules.py"),
    "megatron-core": Source("0.16.1", "megatron/core/optimizer_param_scheduler.py"),
    "torchtitan": Source("0.3.0", "torchtitan/components/optimizer/lr_scheduler.py"),
}
FOLDER = Path(sys.prefix) / "reference"


def path(library: str) -> Path:
    """Where the file of `library` lies: the version is in the name, so a new pin is fetched."""
    return FOLDER / f"{library}-{SOURCES[library].version}.py"


def _read(archive: Path, member: str) -> bytes:
    """One member of a wheel or an sdist, whose paths start with a folder of their own."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        found = next(entry for entry in sdist if entry.name.partition("/")[2] == member)
        file = sdist.extractfile(found)
        assert file is not None
        return file.read()


def fetch(library: str) -> None:
    """Download the release of `library` and keep its one file."""
    target = path(library)
    if target.exists():
        return
    version, member = SOURCES[library]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # No isolation: an sdist is asked for its metadata, and DeepSpeed's imports torch for it.
        options = ["-qq", "--retries", "5", "--no-deps", "--no-build-isolation", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, f"{library}=={version}"]
        subprocess.run(command, check=True)
        (archive,) = Path(folder).iterdir()
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(_read(archive, member))
        os.replace(unfinished, target)  # noqa: PTH105  (atomic on every system)


if __name__ == "__main__":
    for library in SOURCES:
        fetch(library)

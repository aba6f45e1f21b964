"""A run folder while a run works in it: leased to it, and fit to go on with."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from uuid import uuid4

import cv2

from ipseg.config import Config, config_sha256
from ipseg.errors import OutputError
from ipseg.storage.walk import list_files
from pipeline.runfolder.folder import clear
from pipeline.runfolder.lease import Lease
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.sink import Provenance, check_writable

PACKAGES = ("ipseg", "numpy", "pyarrow", "ray", "scikit-image")


@dataclass
class OpenRun:
    """One start of a command on a run folder.

    Attributes:
        out: the folder.
        run_id: new each time.
        started: when.
        identity: what the folder is bound to.
        earlier: the manifest that was there, None in a new folder.
    """

    out: str
    run_id: str
    started: datetime
    identity: Mapping[str, Any]
    earlier: Manifest | None
    _manifest: Manifest | None = field(default=None, init=False)

    def begin(
        self, config: Config, engine: str, prompt_ids: Sequence[str] | None = None, **about: object
    ) -> Provenance:
        """Writes the manifest: what is run here, and that this run has begun.

        Returns:
            What its rows say about it, `prompt_ids` included.
        """
        sha256 = config_sha256(self.identity)
        if prompt_ids is not None:
            about["prompt_ids"] = list(prompt_ids)
        runs = self.earlier.runs if self.earlier else []
        self._manifest = Manifest(
            self.out,
            dict(self.identity),
            {
                "profile": config.profile,
                "method": config.method_name,
                "config": config.resolved,
                "config_sha256": sha256,
                "versions": {
                    "python": platform.python_version(),
                    "opencv": cv2.__version__,  # of whichever of its four packages is installed
                    **{package: metadata.version(package) for package in PACKAGES},
                },
                **about,
            },
            [
                *runs,
                {
                    "run_id": self.run_id,
                    "engine": engine,
                    "started": self.started.isoformat(timespec="seconds"),
                    "begun": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "finished": None,
                    "rows_per_second": None,
                    "counts": None,
                },
            ],
        )
        self._manifest.write()
        model = f"{config.method_name}/{config.profile}"
        return Provenance(self.run_id, model, sha256, tuple(prompt_ids or ()))

    def finish(self, counts: Mapping[str, int], rows_per_second: float) -> None:
        """Notes in the manifest that the run has come to its end, and how fast it was."""
        if self._manifest is None:
            raise RuntimeError("a run that has not begun cannot end")
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self._manifest.runs[-1] |= {
            **{"finished": finished, "counts": dict(counts)},
            "rows_per_second": round(rows_per_second, 3),
        }
        self._manifest.write()


@contextmanager
def open_run(out: str, identity: Mapping[str, Any], *, overwrite: bool) -> Iterator[OpenRun]:
    """Takes a run folder for the body of the `with`.

    Args:
        out: local path or any fsspec URL.
        identity: what must be the same for an earlier run to be gone on with.
        overwrite: remove an earlier run first.

    Raises:
        ConfigError: an earlier run had other settings; names them.
        OutputError: it cannot be written to, another run is writing there, or what is there has
            no manifest.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"
    with Lease(check_writable(out), run_id):
        if overwrite:
            clear(out)
        earlier = Manifest.read(out)
        if earlier is not None:
            earlier.check_same(identity)
        elif list_files(out, "shard=*/part-*.parquet"):
            raise OutputError(f"{out} holds rows but no manifest.json; choose another --out")
        yield OpenRun(out, run_id, started, identity, earlier)

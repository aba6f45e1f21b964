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
from pipeline.runfolder.manifest import Manifest, missing
from pipeline.runfolder.parts import PARTS
from pipeline.runfolder.sink import Provenance, check_writable

RESCORE = "rescore"  # in the manifest, in place of an engine
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

    @property
    def earlier_runs(self) -> tuple[str, ...]:
        """Ids of the earlier starts, oldest first."""
        return tuple(run["run_id"] for run in self.earlier.runs) if self.earlier else ()

    def missing(self, concepts: Sequence[str] | None) -> dict[str, list[str]]:
        """Id of each earlier start -> those of the concepts that it did not look for, if any."""
        return missing(self.earlier.runs, concepts) if self.earlier and concepts else {}

    def begin(
        self,
        config: Config,
        engine: str,
        prompt_ids: Sequence[str] | None = None,
        looks_for: Sequence[str] | None = None,
        **about: object,
    ) -> Provenance:
        """Writes the manifest: what is run here, and that this run has begun.

        Args:
            config: with the settings.
            engine: by which it is run.
            prompt_ids: of all prompts; None where rows have none.
            looks_for: concepts that every row is asked for; None where rows say it themselves.
            about: what else the manifest says.

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
                    **({} if looks_for is None else {"concepts": list(looks_for)}),
                },
            ],
        )
        self._manifest.write()
        model = f"{config.method_name}/{config.profile}"
        return Provenance(self.run_id, model, sha256, tuple(prompt_ids or ()))

    def finish(self, counts: Mapping[str, int], rows_per_second: float | None = None) -> None:
        """Notes in the manifest that the run has come to its end, and how fast it was."""
        if self._manifest is None:
            raise RuntimeError("a run that has not begun cannot end")
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self._manifest.runs[-1] |= {
            **{"finished": finished, "counts": dict(counts)},
            "rows_per_second": None if rows_per_second is None else round(rows_per_second, 3),
        }
        self._manifest.write()


@contextmanager
def open_run(
    out: str, identity: Mapping[str, Any], *, overwrite: bool, rescores: bool = False
) -> Iterator[OpenRun]:
    """Takes a run folder for the body of the `with`.

    Args:
        out: local path or any fsspec URL.
        identity: what must be the same for an earlier run to be gone on with.
        overwrite: remove an earlier run first.
        rescores: it is opened to score its objects again.

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
            newest = earlier.runs[-1] if earlier.runs else {}
            if newest.get("engine") == RESCORE and not newest["finished"] and not rescores:
                raise OutputError(f"a rescore of {out} was interrupted; run it again first")
        elif list_files(out, PARTS):
            raise OutputError(f"{out} holds rows but no manifest.json; choose another --out")
        yield OpenRun(out, run_id, started, identity, earlier)

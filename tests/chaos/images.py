"""The real `classical` steps on tiny images: some are broken, the command ends half way."""

from __future__ import annotations

import random
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import psutil
from audit import Contents, Findings, contents, rows
from drivers import ended_as_expected, hit, program, tail
from skimage import data
from trial import Act, Place, gone

from ipseg.config import load_config
from ipseg.storage.walk import list_files
from ipseg.vision.images import encode_jpeg
from pipeline.engines.choice import EngineName
from pipeline.runfolder.finished import Retry
from pipeline.segment import Request, segment

OWN = ("run_id", "uri", "version", "config_sha256")  # images lie elsewhere in each trial
COUNT = 12
PROFILE = str(Path(__file__).parents[1] / "small.yaml")
SETTINGS = ("runtime.part_rows=2", "runtime.batch_size=2", "runtime.block_rows=2")
_SIDE = 72  # pixels


@cache
def photos() -> dict[str, bytes]:
    """File name -> JPEG: crops of two photos."""
    found = {}
    chance = np.random.default_rng(7)
    for number in range(COUNT):
        photo = (data.coffee(), data.chelsea())[number % 2]
        top, left = (int(chance.integers(0, side - 200)) for side in photo.shape[:2])
        crop = cv2.resize(photo[top : top + 200, left : left + 200], (_SIDE, _SIDE))
        found[f"{number:03}.jpg"] = encode_jpeg(crop)
    return found


def broken(image: bytes, chance: random.Random) -> bytes:
    """An image after one of the things that happen to files."""
    start = image[: chance.randrange(2, len(image) // 2)]
    return chance.choice([b"", start, b"<html>404 Not Found</html>", bytes(len(image))])


def put(folder: Path) -> tuple[str, str]:
    """Writes (images, prompts) below a folder; where they are."""
    images, prompts = folder / "images", folder / "prompts"
    for path in (images, prompts):
        path.mkdir()
    for name, image in photos().items():
        (images / name).write_bytes(image)
    prompt = cv2.resize(data.coffee()[50:350, 150:450], (96, 96))
    (prompts / "cup.jpg").write_bytes(encode_jpeg(prompt))
    return str(images), str(prompts)


@cache
def undisturbed() -> Contents:
    """What a run over the images makes where nothing happens to it."""
    with TemporaryDirectory() as folder:
        images, prompts = put(Path(folder))
        out = f"{folder}/run"
        segment(_request(images, prompts, out, "local"))
        return contents(out, OWN)


def _request(images: str, prompts: str, out: str, engine: EngineName, **more: object) -> Request:
    config = load_config(PROFILE, SETTINGS, labelling=True)
    return Request(images=images, out=out, config=config, prompts=prompts, engine=engine, **more)


def corrupt_images(engine: EngineName) -> Act:
    """Broken images become failed rows; repaired and tried again, nothing is left of that."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        images, prompts = put(place.folder)
        out = str(place.folder / "run")
        bad = set(chance.sample(sorted(photos()), chance.randrange(1, 5)))
        for name in bad:
            (Path(images) / name).write_bytes(broken(photos()[name], chance))
        segment(_request(images, prompts, out, engine))
        failed = {row["key"] for row in rows(out) if row["row_status"] == "failed"}
        findings.check(failed == bad, f"failed: {sorted(failed)} instead of {sorted(bad)}")
        findings.hit += [f"image {name}" for name in sorted(failed)]
        good = {key: row for key, row in contents(out, OWN).items() if key not in bad}
        wanted = {key: row for key, row in undisturbed().items() if key not in bad}
        findings.check(good == wanted, "the good images' rows are not those of a run without bad")
        for name in bad:
            (Path(images) / name).write_bytes(photos()[name])
        segment(_request(images, prompts, out, engine, retry=Retry()))
        findings.audit(out, undisturbed(), OWN)

    return act


def command_ended(engine: EngineName, number: int) -> Act:
    """Ends the real `ipseg segment` half way, then starts the same command again."""

    def act(place: Place, chance: random.Random, findings: Findings) -> None:
        images, prompts = put(place.folder)
        # It starts a Ray of its own, as it does by default, and must take it along.
        segment_twice(
            (images, prompts, str(place.folder / "run")),
            engine,
            number,
            (place.folder / "ipseg.log", {}),
            chance,
            findings,
        )

    return act


def segment_twice(
    addresses: tuple[str, str, str],
    engine: EngineName,
    number: int,
    program_settings: tuple[Path, dict[str, str]],
    chance: random.Random,
    findings: Findings,
) -> None:
    """`ipseg segment`, ended by a signal after some parts; again; and what is there then.

    Args:
        addresses: of images, prompts and run folder.
        engine: "ray" or "local".
        number: of the signal.
        program_settings: log file, and more environment.
        chance: when.
        findings: are added to.
    """
    images, prompts, out = addresses
    log, environment = program_settings
    command = [sys.executable, "-m", "jobs.cli", "segment"]
    command += ["--images", images, "--prompts", prompts, "--out", out, "--engine", engine]
    command += ["--profile", PROFILE]
    for setting in SETTINGS:
        command += ["--set", setting]
    moment, family = chance.randrange(1, 5), list[psutil.Process]()  # the first is the bank's
    with program(command, log, environment) as process:

        def due() -> bool:
            if len(_parts(out)) < moment:
                return False
            family.extend(psutil.Process(process.pid).children(recursive=True))
            return True

        if not hit(process, number, due):
            return
        ended_as_expected(process, number, log, findings)
    orphans = [each.pid for each in family if not gone(each, 20)]
    findings.check(not orphans, f"its processes {orphans} are still there")
    before = _runs(out)
    with program(command, log, environment) as process:
        findings.check(process.wait(120) == 0, f"it could not go on:\n{tail(log)}")
    after = _runs(out)
    again = [key for key, run_id in before.items() if after.get(key) != run_id]
    findings.check(not again, f"written and done again: {again[:5]}")
    findings.audit(out, undisturbed(), OWN)


def _parts(out: str) -> list[str]:
    """Of the images and of the bank."""
    return [
        part for of in (out, f"{out}/bank") for part in list_files(f"{of}/data", "*/part-*.parquet")
    ]


def _runs(out: str) -> dict[tuple[str, str], str]:
    """(folder, key) of each row, those of the bank too -> the run that wrote it."""
    return {(of, row["key"]): row["run_id"] for of in (out, f"{out}/bank") for row in rows(of)}

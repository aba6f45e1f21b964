"""`ipseg train`: reads what there is to train with, and trains here or on Ray Train's workers."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ipseg.errors import ConfigError, OutputError
from ipseg.methods.sine.training.annotated import Place
from ipseg.methods.sine.training.layouts import annotations_in, prepared
from ipseg.methods.sine.training.learner import networks
from ipseg.methods.sine.training.pairs import shares
from ipseg.methods.sine.training.settings import Training
from ipseg.wording import counted, speed
from pipeline.engines.choice import EngineName
from pipeline.runfolder.lease import Lease
from pipeline.training.folder import TrainingFolder
from pipeline.training.loop import Entry, Job, train_worker

log = logging.getLogger("ipseg")

_LINE_SECONDS = 10.0


@dataclass(frozen=True)
class TrainRequest:
    """A training.

    Attributes:
        training: settings.
        data: folders of collections.
        out: folder to write, on a disk that all workers see.
        workers: that share each batch.
        gpu: one for each worker.
        engine: `local` for this process alone; `auto` takes it for one worker.
        overwrite: start over.
    """

    training: Training
    data: Sequence[str]
    out: str
    workers: int = 1
    gpu: bool = False
    engine: EngineName = "auto"
    overwrite: bool = False

    @property
    def on_ray(self) -> bool:
        """Whether workers of Ray Train train, and not this process."""
        return self.engine == "ray" or self.workers > 1


@dataclass
class Trained:
    """What came of it.

    Attributes:
        out: its folder.
        weights: file for `network.weights`.
        profile: file for `--profile`.
        steps: of the optimiser, all in all.
        before: of these, in earlier starts.
        last: what the last step of this start reported; empty if there was none.
        seconds: of this start.
    """

    out: str
    weights: str
    profile: str
    steps: int
    before: int
    seconds: float = 0.0
    last: Entry = field(default_factory=dict)


def train(request: TrainRequest) -> Trained:
    """Trains until the last step, from the last checkpoint on if there is one.

    Raises:
        ConfigError: the checkpoint is of another configuration, or the request contradicts itself.
        SourceError: a data folder is missing or has none of the layouts.
        WeightsError: the encoder, or the weights to start from, cannot be used.
        OutputError: the folder cannot be written to, or another training writes there.
    """
    if "://" in request.out:
        raise ConfigError(f"--out {request.out}: give a path on a disk that all workers see")
    if request.engine == "local" and request.workers > 1:
        raise ConfigError("several --workers need Ray: leave --engine local out")
    device = request.training.models.torch_device().type
    if request.gpu and not request.on_ray and device == "cpu":
        raise ConfigError(
            "--gpu: training would run on the CPU: PyTorch finds no GPU here, or models.device is "
            "cpu; leave --gpu out to train on the CPU"
        )
    import tensorboardX  # noqa: F401  (before hours of work, not after the first of it)

    folder = TrainingFolder(Path(request.out).resolve())
    try:
        folder.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {request.out}: {error.strerror}") from error
    started = time.perf_counter()
    with Lease(str(folder.out), f"training-{time.time_ns()}"):
        if request.overwrite:
            _clear(folder)
        return _train(request, folder, started)


def _train(request: TrainRequest, folder: TrainingFolder, started: float) -> Trained:
    training = request.training
    for data in request.data:
        annotations_in(data)
    networks(training)  # whether they can be loaded, before minutes of reading annotations
    weight = training.pairs.objects365
    places = _distinct(
        place
        for data in request.data
        for place in prepared(data, folder.tables, weight, lambda line: log.info("%s", line))
    )
    for place, share in zip(places, shares(places, training.pairs), strict=True):
        log.info("%.0f %% of pairs from %s", 100 * share, place.name)
    job = Job(training, places, folder, request.workers)
    known = folder.read(job.identity)
    steps = training.optimisation.steps
    before = 0 if known is None else int(known["step"])
    if before:
        log.info("going on after step %d of %d", before, steps)
    done = Trained(str(folder.out), str(folder.weights), str(folder.profile), steps, before)
    if before < steps:
        diary = _Diary(done)
        if request.on_ray:
            from pipeline.training.ray_workers import train_on_ray

            try:
                train_on_ray(job, diary.add, gpu=request.gpu)
            except (KeyboardInterrupt, SystemExit):
                log.warning("%s", _kept(job))
                raise
        else:
            train_worker(job, diary.add)
    done.seconds = time.perf_counter() - started
    return done


def _distinct(places: Iterable[Place]) -> list[Place]:
    """With a number in the name of each that has the name of an earlier one."""
    seen: Counter[str] = Counter()
    found = []
    for place in places:
        seen[place.name] += 1
        number = seen[place.name]
        found.append(replace(place, name=f"{place.name} #{number}") if number > 1 else place)
    return found


def _kept(job: Job) -> str:
    every = job.training.saving.checkpoint_steps
    if job.folder.checkpoint.exists():
        return f"stopped: saved is {job.folder.checkpoint}, which is made every {every} steps"
    return f"stopped: nothing is saved before step {every} (saving.checkpoint_steps)"


class _Diary:
    """A line now and then, and the last entry."""

    def __init__(self, done: Trained) -> None:
        self._done, self._next = done, 0.0

    def add(self, entry: Entry) -> None:
        """One entry."""
        self._done.last = entry
        if time.perf_counter() < self._next:
            return
        self._next = time.perf_counter() + _LINE_SECONDS
        log.info("%s", progress_line(entry, self._done.steps))


def progress_line(entry: Entry, steps: int) -> str:
    """How far a training is, in one line."""
    step, seconds = int(entry["step"]), entry["seconds_left"]
    clock = time.strftime("%H:%M:%S", time.gmtime(seconds % 86400))
    days = f"{counted(int(seconds // 86400), 'day')} " if seconds >= 86400 else ""
    return (
        f"step {step:,} of {steps:,}, loss {entry['loss']:.3f} (classes {entry['classes']:.3f}, "
        f"presence {entry['presence']:.3f}, masks {entry['bce'] + entry['dice']:.3f}), "
        f"{speed(entry['pairs_per_second'], 'pair')}, {days}{clock} left"
    )


def _clear(folder: TrainingFolder) -> None:
    for file in (folder.checkpoint, folder.weights, folder.profile):
        file.unlink(missing_ok=True)
    shutil.rmtree(folder.tensorboard, ignore_errors=True)

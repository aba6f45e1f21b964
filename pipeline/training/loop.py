"""The loop of one worker: pairs, gradients, a step; now and then a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ipseg.errors import DivergedError
from ipseg.methods.sine.training.annotated import Annotated, Place
from ipseg.methods.sine.training.learner import PARTS, Learner
from ipseg.methods.sine.training.pairs import Pair, PairSource
from ipseg.methods.sine.training.settings import Optimisation, Training
from ipseg.methods.sine.training.team import Team
from pipeline.export.ahead import made_ahead
from pipeline.training.folder import TrainingFolder, identity_of
from pipeline.training.stopping import signals_held_back

# step, loss, its parts, rate, gradient, pairs_per_second, seconds_left
Entry = dict[str, float]
Report = Callable[[Entry], None]


@dataclass(frozen=True)
class Job:
    """What each worker is given.

    Attributes:
        training: settings.
        places: collections to draw pairs from.
        folder: where it is written.
        workers: how many there are.
    """

    training: Training
    places: list[Place]
    folder: TrainingFolder
    workers: int

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for it to go on."""
        return identity_of(self.training, self.places, self.workers)


def train_worker(job: Job, report: Report) -> None:
    """Trains from the last checkpoint to the last step; each worker of a team calls it.

    A SIGINT or SIGTERM that comes to it ends it after a step, which is saved.

    Args:
        job: the same for all.
        report: called by the first worker after each step.

    Raises:
        IpsegError: data, weights or the checkpoint cannot be used.
        OSError: something cannot be written.
    """
    training, team = job.training, Team.here()
    settings, saving = training.optimisation, training.saving
    learner = Learner(training)
    known = job.folder.read(job.identity)
    start = 0
    if known is not None:
        learner.restore(known)
        start = int(known["step"])
    with ExitStack() as stack:
        stopping = stack.enter_context(signals_held_back())
        log = _no_log
        if team.rank == 0:
            log = stack.enter_context(closing(_Tensorboard(job.folder, start))).add
        pairs = _pairs(job, team, start)
        stack.callback(pairs.close)
        began = time.perf_counter()
        for done in range(start + 1, settings.steps + 1):
            with _named(job, done):
                entry, batch = _step(learner, pairs, done, settings, team)
            if team.rank == 0:
                drawn = (done - start) * team.size * settings.batch * settings.accumulate
                seconds = time.perf_counter() - began
                entry |= {
                    "pairs_per_second": drawn / seconds,
                    "seconds_left": seconds / (done - start) * (settings.steps - done),
                }
                if done % saving.log_steps == 0 or done == settings.steps:
                    log(entry)
                last = done == settings.steps or stopping()
                if done % saving.checkpoint_steps == 0 or last:
                    with _named(job, done):
                        learner.check(batch)
                    job.folder.write(learner, done, training, job.identity)
                report(entry)
                if last:
                    break


def _step(
    learner: Learner, pairs: Iterator[Pair], done: int, settings: Optimisation, team: Team
) -> tuple[Entry, list[Pair]]:
    """A step of the optimiser, from 1: what is reported of it, and its last pairs."""
    parts = torch.zeros(len(PARTS))
    for _ in range(settings.accumulate):
        batch = [next(pairs) for _ in range(settings.batch)]
        parts += learner.accumulate(batch, team).cpu()
    rate, gradient = learner.update(done - 1, team)
    parts = team.mean(parts.to(learner.device)).cpu() / settings.accumulate
    entry = dict(zip(PARTS, parts.tolist(), strict=True))
    loss = sum(entry.values())
    if not math.isfinite(loss) or not math.isfinite(gradient):
        raise FloatingPointError(f"loss {loss}, gradient {gradient}")
    return {**entry, "step": done, "loss": loss, "rate": rate, "gradient": gradient}, batch


@contextmanager
def _named(job: Job, step: int) -> Iterator[None]:
    """Says in which step numbers are not finite any more, and what to do."""
    try:
        yield
    except FloatingPointError as error:
        rate, weights = job.training.optimisation.rate, job.folder.weights
        again = (
            f"; or go on from the last ones that are saved, with a lower rate, another --out and "
            f"--set start={weights}"
            if weights.exists()
            else ""
        )
        raise DivergedError(
            f"the training diverged: in step {step} the loss is no finite number. These weights "
            f"are not saved. Lower optimisation.rate (it is {rate:g}) and start over with "
            f"--overwrite{again}"
        ) from error


def _pairs(job: Job, team: Team, start: int) -> Generator[Pair, None, None]:
    """This worker's pairs from a step on, read and cut ahead of their turn."""
    training = job.training
    settings = training.optimisation
    source = PairSource([Annotated(place) for place in job.places], training.pairs, settings.seed)
    batches = range(start * settings.accumulate, settings.steps * settings.accumulate)
    numbers = (
        (batch * team.size + team.rank) * settings.batch + place
        for batch in batches
        for place in range(settings.batch)
    )
    threads = training.saving.threads
    for _, pair in made_ahead(
        numbers, source.__getitem__, True, at_once=threads, ahead=settings.batch + threads
    ):
        yield pair


def _no_log(entry: Entry) -> None:
    """What other workers log."""


class _Tensorboard:
    """Losses and rates by their step; entries after a checkpoint that were lost are replaced."""

    def __init__(self, folder: TrainingFolder, start: int) -> None:
        from tensorboardX import SummaryWriter

        # Names of files have the second in them, which two short trainings may share.
        self._writer: Any = SummaryWriter(
            str(folder.tensorboard), purge_step=start + 1, filename_suffix=f".{start}"
        )

    def add(self, entry: Entry) -> None:
        """One entry."""
        step = int(entry["step"])
        for name, value in entry.items():
            if name not in ("step", "seconds_left"):
                group = "loss" if name in PARTS else "training"
                self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()

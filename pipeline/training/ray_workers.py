"""The workers of a training as a group of Ray Train: restarted together when one is lost."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from ipseg.errors import IpsegError, PlanError
from pipeline.engines.ray_session import end_session, start_session
from pipeline.training.board import Board
from pipeline.training.loop import Job, Report, train_worker

# Paths of a command are relative to where it was started.
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")

import ray
import ray.train
from ray.train.torch import TorchTrainer

_RESTARTS = 2  # after a worker or its machine is lost
_SECONDS = 1.0  # between two looks at how far it is


def train_on_ray(job: Job, report: Report, *, gpu: bool) -> None:
    """Runs `train_worker` in each of several workers.

    Args:
        job: of the training.
        report: called in this process with what the first worker reports, some entries left out.
        gpu: give each worker a GPU, and nccl in place of gloo.

    Raises:
        PlanError: there are fewer CPUs or GPUs than workers.
        IpsegError: as `train_worker`.
    """
    started = start_session()
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    finished = False
    try:
        _check_room(job.workers, gpu)
        board: Any = ray.remote(Board).options(num_cpus=0).remote()
        trainer = TorchTrainer(
            _work,
            train_loop_config={"job": job, "board": board},
            scaling_config=ray.train.ScalingConfig(num_workers=job.workers, use_gpu=gpu),
            run_config=ray.train.RunConfig(
                name="workers",
                storage_path=str(job.folder.out / "ray"),
                failure_config=ray.train.FailureConfig(max_failures=_RESTARTS),
            ),
        )
        fitting = _Beside(trainer.fit)
        while not fitting.ended(_SECONDS):
            for entry in ray.get(board.take.remote()):
                report(entry)
        for entry in ray.get(board.take.remote()):
            report(entry)
        fitting.result()
        finished = True
    finally:
        if started:
            end_session(at_once=not finished)


def _check_room(workers: int, gpu: bool) -> None:
    there = ray.cluster_resources()
    for kind in ("CPU", "GPU") if gpu else ("CPU",):
        if there.get(kind, 0) < workers:
            raise PlanError(
                f"{workers} workers need a {kind} each, and there are {there.get(kind, 0):g}: give "
                f"fewer --workers, and a larger optimisation.batch or accumulate instead"
            )


def _work(config: dict[str, Any]) -> None:
    board = config["board"]
    train_worker(config["job"], board.put.remote)


class _Beside:
    """A call in a thread, so that this one can be interrupted; Ray would catch the signal."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended; waits so long for it."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> None:
        """Raises what it raised; what a worker raised of ours as such."""
        if self._error is None:
            return
        failures = getattr(self._error, "worker_failures", {})
        for failure in failures.values():
            for cause in _causes(failure):
                if isinstance(cause, IpsegError | OSError):
                    raise cause from self._error
        raise self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001  (raised in the thread that waits)
            self._error = error


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error, and what it came from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = getattr(error, "cause", None) or error.__cause__
    return found

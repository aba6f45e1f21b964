"""`ipseg demo --method sine`: trains a small SINE on generated scenes, and segments unseen ones.

Nothing is downloaded: the frozen encoder, DINOv2 in the real thing, has random weights here.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import Dinov2Config, Dinov2Model

import ipseg
from ipseg.networks.pretrained import quiet
from ipseg.objects import Object
from ipseg.rows import Mask
from ipseg.vision.overlay import Colour, Drawn, draw
from ipseg.weights.tiny import random_state
from jobs.demo.toys import Kind, Toy, ToyScene, draw_kinds, random_scene, write_coco
from jobs.output import print_json, write_file
from jobs.pages.template import template, write_rendered
from jobs.pages.views import View, view
from jobs.train import training_of
from pipeline.train import Trained, TrainRequest, train

log = logging.getLogger("ipseg")

TASKS = ("semantic", "instance", "identity")
_KINDS, _UNSEEN = 120, 24  # of toys: to train with, and to segment
_ROWS = 12  # rows of the page
_GOOD = 0.5  # IoU from which an instance counts as found
_TRUE: Colour = (255, 255, 255)
_FOUND: tuple[Colour, ...] = ((230, 159, 0), (86, 180, 233), (204, 121, 167), (0, 158, 115))


@dataclass(frozen=True)
class Question:
    """An example and an unseen scene.

    Attributes:
        example: scene with the example.
        number: of the toy in it that is the example.
        scene: to be segmented; has the very same toy, others of its kind and of another kind.
    """

    example: ToyScene
    number: int
    scene: ToyScene

    @property
    def kind(self) -> int:
        """Of the example."""
        return self.example.toys[self.number].kind

    @property
    def of_kind(self) -> list[Mask]:
        """Masks of the toys of its kind in the scene."""
        pairs = zip(self.scene.toys, self.scene.masks, strict=True)
        return [mask for toy, mask in pairs if toy.kind == self.kind]

    @property
    def same(self) -> Mask:
        """The mask of the very same toy: its shade and size are those of the example."""
        wanted = self.example.toys[self.number]
        pairs = zip(self.scene.toys, self.scene.masks, strict=True)
        return next(m for toy, m in pairs if _alike(toy, wanted))


def run_sine_demo(
    out: Path, *, questions: int, steps: int, seed: int, as_json: bool, images: int = 600
) -> None:
    """Writes OUT/data, OUT/encoder, the training in OUT/training and OUT/report.html.

    Args:
        out: folder.
        questions: about unseen scenes.
        steps: of the training.
        seed: of scenes, encoder and training.
        as_json: print the numbers as JSON.
        images: to train with.

    Raises:
        OutputError: OUT cannot be written to.
    """
    started = time.perf_counter()
    write_file(out / "README.txt", _README)  # fails early if the folder is not writable
    random = np.random.default_rng(seed)
    log.info("generating %d scenes of %d kinds of toys in %s", images, _KINDS, out / "data")
    kinds = draw_kinds(_KINDS, random)
    scenes = [random_scene(kinds, _some(random, range(_KINDS)), random) for _ in range(images)]
    write_coco(out / "data", scenes, _KINDS)
    write_encoder(out / "encoder", seed)
    overrides = [
        *(f"encoder={out / 'encoder'}", "pairs.side=128"),
        *(f"optimisation.steps={steps}", f"optimisation.seed={seed}"),
    ]
    request = TrainRequest(
        training_of("sine", "tiny", overrides),
        [str(out / "data")],
        str(out / "training"),
        engine="local",
        overwrite=True,
    )
    trained = train(request)
    log.info("segmenting %d unseen scenes of %d unseen kinds", questions, _UNSEEN)
    unseen = draw_kinds(_UNSEEN, random)
    drawn = [_question(unseen, number % _UNSEEN, random) for number in range(questions)]
    answers = {task: answered(trained.profile, task, drawn) for task in TASKS}
    metrics = measured(drawn, answers)
    report = _write_page(out, drawn, answers, metrics, trained, images)
    write_file(out / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"out": str(out), "report": report, "total_seconds": seconds, **metrics})
        return
    console = Console()
    table = Table("unseen scenes of unseen kinds, IoU", "SINE", "all is the object")
    for task in TASKS:
        values = metrics[task]
        table.add_row(task, f"{values['mean_iou']:.3f}", f"{values['everything']:.3f}")
    console.print(table)
    console.print(
        f"{metrics['instance']['found']:.0%} of the toys found as instances (IoU {_GOOD} or more), "
        f"{metrics['instance']['right']:.0%} of the instances right; the encoder has random weights"
    )
    console.print(f"{questions} questions, {steps} steps, {seconds:.0f} s in all")
    console.print(f"report: {report}", soft_wrap=True)


def write_encoder(folder: Path, seed: int) -> None:
    """A small DINOv2 with random weights, as `from_pretrained` takes it."""
    config = Dinov2Config(
        **{"hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"patch_size": 8, "image_size": 128},
    )
    with torch.random.fork_rng(devices=[]):
        network: Any = Dinov2Model(config)
    network.load_state_dict(random_state(network, f"demo {seed}"))
    with quiet():
        network.save_pretrained(folder)


def answered(profile: str, task: str, questions: Sequence[Question]) -> list[list[Object]]:
    """What a task finds for each question."""
    model = ipseg.load(profile, [f"task={task}", "models.device=cpu"])
    found = []
    for each in questions:
        mask = each.example.masks[each.number]
        model.set_prompts({"toy": ipseg.Prompt(each.example.image, mask=mask)})
        found.append(list(model.segment(each.scene.image).objects))
    return found


def measured(
    questions: Sequence[Question], answers: dict[str, list[list[Object]]]
) -> dict[str, dict[str, float]]:
    """Task -> mean IoU of its answers, and that of a mask of everything.

    Of instances: the mean over the toys of the best IoU among the instances that are likely
    (probability 0.5), the share of toys that are found, and the share of these instances that are
    right.
    """
    truths = {
        "semantic": [np.any(each.of_kind, axis=0) for each in questions],
        "identity": [each.same for each in questions],
    }
    found = {
        task: [
            float(_iou(_union(objects, truth), truth))
            for objects, truth in zip(answers[task], wanted, strict=True)
        ]
        for task, wanted in truths.items()
    }
    best: list[float] = []
    right: list[bool] = []
    for each, objects in zip(questions, answers["instance"], strict=True):
        table = np.array([[_iou(o.mask, t) for t in each.of_kind] for o in likely(objects)])
        table = table.reshape(-1, len(each.of_kind))
        best += list(table.max(axis=0, initial=0.0))
        right += list(table.max(axis=1, initial=0.0) >= _GOOD)
    whole = {task: float(np.mean([t.mean() for t in wanted])) for task, wanted in truths.items()}
    each_toy = [mask.mean() for each in questions for mask in each.of_kind]
    return {
        **{
            task: {"mean_iou": float(np.mean(values)), "everything": whole[task]}
            for task, values in found.items()
        },
        "instance": {
            "mean_iou": float(np.mean(best)),
            "everything": float(np.mean(each_toy)),
            "found": float(np.mean(np.array(best) >= _GOOD)),
            "right": float(np.mean(right)) if right else 0.0,
        },
    }


def likely(objects: Sequence[Object]) -> list[Object]:
    """Instances whose class is more likely than not."""
    return [each for each in objects if each.evidence["class_probability"] >= 0.5]


def _question(kinds: Sequence[Kind], kind: int, random: np.random.Generator) -> Question:
    example = random_scene(kinds, [kind], random)
    number = int(random.integers(len(example.toys)))
    other = int(random.choice([n for n in range(len(kinds)) if n != kind]))
    scene = random_scene(kinds, [kind, other], random, kept=[example.toys[number]])
    return Question(example, number, scene)


def _alike(one: Toy, other: Toy) -> bool:
    return (one.kind, one.shade, one.size) == (other.kind, other.shade, other.size)


def _some(random: np.random.Generator, kinds: Sequence[int]) -> list[int]:
    return [int(n) for n in random.choice(kinds, int(random.integers(1, 3)), replace=False)]


def _union(objects: Sequence[Object], like: Mask) -> Mask:
    return np.any([np.zeros_like(like), *(each.mask for each in objects)], axis=0)


def _iou(found: Mask, truth: Mask) -> float:
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def _write_page(
    out: Path,
    questions: Sequence[Question],
    answers: dict[str, list[list[Object]]],
    metrics: dict[str, dict[str, float]],
    trained: Trained,
    images: int,
) -> str:
    rows = [
        _row(each, [answers[task][number] for task in TASKS])
        for number, each in enumerate(questions[:_ROWS])
    ]
    return write_rendered(
        str(out),
        template("jobs.demo", "train_sine.html"),
        rows=rows,
        metrics=metrics,
        trained=trained,
        questions=len(questions),
        kinds=_KINDS,
        scenes=images,
        unseen=_UNSEEN,
    )


def _row(question: Question, found: Sequence[Sequence[Object]]) -> list[View]:
    """The example, the truth and the three answers."""
    example = question.example
    mask = [Drawn(_FOUND[0], example.masks[question.number])]
    same = question.same
    truth = [Drawn(_FOUND[0] if m is same else _TRUE, m) for m in question.of_kind]
    semantic, instance, identity = found
    masks = [
        [each.mask for each in semantic],
        [each.mask for each in reversed(likely(instance))],
        [each.mask for each in identity],
    ]
    tiles = [("example", example.image, mask), ("truth", question.scene.image, truth)]
    for task, there in zip(TASKS, masks, strict=True):
        drawn = [Drawn(_FOUND[n % len(_FOUND)], mask) for n, mask in enumerate(there)]
        tiles.append((task, question.scene.image, drawn))
    return [
        view(title, lambda i=image, d=drawn: draw(i, d, fill=0.35)) for title, image, drawn in tiles
    ]


_README = b"""Written by `ipseg demo --method sine`; may be deleted.

data/        generated scenes and their annotations
encoder/     a small ViT with random weights, which stays as it is
training/    what `ipseg train sine` wrote
report.html  unseen scenes with the three answers
"""

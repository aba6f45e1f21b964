"""`ipseg train`: a pair learned by heart, a kill and a new start, two workers, segment after."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

import ipseg
from ipseg.errors import ConfigError, DivergedError, OutputError, SourceError, WeightsError
from ipseg.methods.sine.architecture import ENCODER
from ipseg.methods.sine.network import SineNetwork
from ipseg.methods.sine.training.layouts import prepared
from ipseg.methods.sine.training.settings import (
    Decoder,
    Losses,
    Optimisation,
    Pairs,
    Saving,
    Training,
)
from ipseg.networks.models import Models
from pipeline.runfolder.lease import Lease
from pipeline.train import TrainRequest, progress_line, train
from pipeline.training.folder import TrainingFolder
from pipeline.training.loop import Job, train_worker

SIDE = 84
BOXES = {3: (10, 12, 40, 50), 7: (45, 20, 78, 66)}
COLOURS = {3: (220, 40, 30), 7: (30, 60, 210)}


def scene():
    image = np.random.default_rng(0).integers(120, 160, (SIDE, SIDE, 3)).astype(np.uint8)
    for number, (x0, y0, x1, y1) in BOXES.items():
        image[y0:y1, x0:x1] = COLOURS[number]
    return image


def mask_of(number):
    mask = np.zeros((SIDE, SIDE), bool)
    x0, y0, x1, y1 = BOXES[number]
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One image with two objects."""
    root = tmp_path_factory.mktemp("one")
    (root / "images" / "train").mkdir(parents=True)
    Image.fromarray(scene()).save(root / "images" / "train" / "a.png")
    annotations = [
        {
            "id": n,
            "image_id": 1,
            "category_id": n,
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        }
        for n, (x0, y0, x1, y1) in BOXES.items()
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIDE, "width": SIDE}],
        "annotations": annotations,
        "categories": [{"id": n, "name": str(n)} for n in BOXES],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def training(tiny_root):
    return Training(
        encoder="facebook/dinov2-small",
        decoder=Decoder(width=32, hidden=64, between=16, queries=8, layers=2),
        pairs=Pairs(side=SIDE, same_image=1, flip=0, smallest=1, largest=1),
        losses=Losses(points=256),
        optimisation=Optimisation(steps=6, warm_up=2, rate=1e-4, batch=2, accumulate=1),
        saving=Saving(checkpoint_steps=3, log_steps=1, threads=1),
        models=Models(root=str(tiny_root), device="cpu"),
    )


def run(training, data, out, **more):
    return train(TrainRequest(training, [str(data)], str(out), **more))


def weights_of(out):
    return torch.load(out / "sine.pth", weights_only=True)


def difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def logged(folder):
    """(tag, step, value) in TensorBoard's event files."""
    found = []
    for file in sorted(folder.iterdir()):
        data, at = file.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            at += 16 + length
    return found


def test_one_pair_is_learned_by_heart_and_segment_finds_it(training, data, tmp_path):
    quick = replace(
        training,
        optimisation=Optimisation(200, warm_up=10, rate=2e-3, decay=0, batch=1, accumulate=1),
        decoder=replace(training.decoder, layers=1),
        losses=Losses(points=128),
        saving=replace(training.saving, checkpoint_steps=1000),
    )
    done = run(quick, data, tmp_path)
    losses = [value for tag, _, value in logged(tmp_path / "tensorboard") if tag == "training/loss"]
    assert len(losses) == 200
    assert losses[-1] < 0.1 * losses[0]
    for task in ("semantic", "instance", "identity"):
        # Together, as both were in every pair.
        model = ipseg.load(done.profile, [f"task={task}", "asking.concepts=together"])
        model.set_prompts(
            {str(number): ipseg.Prompt(scene(), mask=mask_of(number)) for number in BOXES}
        )
        objects = model.segment(scene()).objects
        for number in BOXES:
            mine = [each for each in objects if each.concept == str(number)]
            best = max(mine, key=lambda each: each.score)
            union = (best.mask | mask_of(number)).sum()
            assert (best.mask & mask_of(number)).sum() / union >= 0.9, task


def test_killed_and_started_again_is_as_if_never_ended(training, data, tmp_path):
    run(training, data, tmp_path / "whole")

    class Killed(BaseException):
        """As a signal ends a process: nothing catches it."""

    def stop(entry):
        if entry["step"] == 5:
            raise Killed

    folder = TrainingFolder(tmp_path / "cut")
    folder.out.mkdir()
    places = prepared(str(data), folder.tables, 3.0, lambda line: None)
    with pytest.raises(Killed):
        train_worker(Job(training, places, folder, workers=1), stop)
    assert torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"] == 3
    done = run(training, data, folder.out)
    assert done.before == 3
    assert difference(weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")) <= 1e-6
    steps = [
        step for tag, step, _ in logged(tmp_path / "cut" / "tensorboard") if tag == "loss/dice"
    ]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5, 6]
    again = run(training, data, folder.out)
    assert (again.before, again.last) == (6, {}), "all done: nothing is trained again"


def test_a_training_that_is_interrupted_has_saved_its_last_step(training, data, tmp_path):
    seldom = replace(training, saving=Saving(checkpoint_steps=1000, threads=1))
    folder = TrainingFolder(tmp_path)
    places = prepared(str(data), folder.tables, 3.0, lambda line: None)
    ours = signal.default_int_handler
    before = signal.signal(signal.SIGINT, ours)  # a job in a background ignores it

    def interrupt(entry):
        if entry["step"] == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_worker(Job(seldom, places, folder, workers=1), interrupt)
    assert signal.signal(signal.SIGINT, before) is ours
    assert torch.load(folder.checkpoint, weights_only=True)["step"] == 2
    assert run(seldom, data, tmp_path).before == 2


@pytest.mark.parametrize("steps", [1, 2])
def test_weights_that_have_diverged_are_never_saved(training, data, tmp_path, steps):
    """The first step explodes: that is seen before it is saved, or in the next step."""
    fast = replace(training.optimisation, steps=steps, warm_up=0, rate=1e30)
    with pytest.raises(DivergedError) as error:
        run(replace(training, optimisation=fast), data, tmp_path)
    assert f"in step {steps} the loss is no finite number" in str(error.value)
    assert "Lower optimisation.rate (it is 1e+30)" in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_two_workers_are_one_with_the_double_batch(training, data, tmp_path, ray_session):
    five = replace(training.optimisation, steps=5, batch=4)
    run(replace(training, optimisation=five), data, tmp_path / "one", engine="local")
    halves = replace(training, optimisation=replace(five, batch=2))
    done = run(halves, data, tmp_path / "two", workers=2)
    assert done.last["step"] == 5
    assert difference(weights_of(tmp_path / "one"), weights_of(tmp_path / "two")) <= 1e-4
    one, two = (logged(tmp_path / name / "tensorboard") for name in ("one", "two"))
    wanted = {(tag, step): value for tag, step, value in one if tag != "training/pairs_per_second"}
    assert {tag.partition("/")[0] for tag, _ in wanted} == {"loss", "training"}
    for tag, step, value in two:
        if (tag, step) in wanted:
            assert value == pytest.approx(wanted.pop((tag, step)), abs=1e-4, rel=1e-4)
    assert not wanted
    checkpoint = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert checkpoint["identity"]["optimisation"]["batch"] == "4 of all workers"


def test_two_data_folders_of_one_name_are_two(training, data, tmp_path):
    other = tmp_path / "elsewhere" / data.name
    shutil.copytree(data, other)
    one = replace(training, optimisation=replace(training.optimisation, steps=1, warm_up=0))
    train(TrainRequest(one, [str(data), str(other)], str(tmp_path / "out")))
    name = f"{data.name}/instances_train"
    checkpoint = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert checkpoint["identity"]["data"].keys() == {name, f"{name} #2"}
    with pytest.raises(ConfigError, match='#2: "2 objects" -> nothing'):
        run(one, data, tmp_path / "out")


def dinov2_by_released_names(width=64, hidden=256):
    """Of one block."""
    random = torch.Generator().manual_seed(0)
    pairs = {
        **{"patch_embed.proj": (width, 3, 14, 14), "norm": (width,), "blocks.0.norm1": (width,)},
        **{"blocks.0.norm2": (width,), "blocks.0.attn.qkv": (3 * width, width)},
        **{"blocks.0.attn.proj": (width, width), "blocks.0.mlp.fc1": (hidden, width)},
        "blocks.0.mlp.fc2": (width, hidden),
    }
    shapes = {f"{name}.weight": shape for name, shape in pairs.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in pairs.items()}
    shapes |= {"cls_token": (1, 1, width), "mask_token": (1, width), "pos_embed": (1, 26, width)}
    shapes |= {"blocks.0.ls1.gamma": (width,), "blocks.0.ls2.gamma": (width,)}
    return {name: torch.randn(shape, generator=random) / 8 for name, shape in shapes.items()}


def test_an_encoder_that_came_with_the_first_weights_goes_with_the_last(training, data, tmp_path):
    encoder = dinov2_by_released_names()
    trained = training.decoder.sizes(64).build().state_dict()
    start = tmp_path / "start.pth"
    torch.save({**trained, **{ENCODER + name: each for name, each in encoder.items()}}, start)
    one = replace(training.optimisation, steps=1, warm_up=0)
    done = run(replace(training, start=str(start), optimisation=one), data, tmp_path / "out")
    network = SineNetwork(**yaml.safe_load(Path(done.profile).read_text())["network"])
    network.setup(Models(device="cpu"))  # without the folder in which `encoder` is found
    assert torch.equal(network._encoder.embeddings.cls_token, encoder["cls_token"])
    ipseg.load(done.profile).set_prompts({"3": ipseg.Prompt(scene(), mask=mask_of(3))})


def test_what_does_not_fit_is_refused_by_name(training, data, tmp_path):
    one = replace(training, optimisation=replace(training.optimisation, steps=1, warm_up=0))
    run(one, data, tmp_path / "out")
    other = replace(
        one, losses=replace(one.losses, dice=2.0), decoder=replace(one.decoder, layers=1)
    )
    with pytest.raises(ConfigError, match="of another configuration") as error:
        run(other, data, tmp_path / "out")
    assert "losses.dice: 5.0 -> 2.0" in str(error.value)
    assert "decoder.layers: 2 -> 1" in str(error.value)
    assert run(other, data, tmp_path / "out", overwrite=True).before == 0
    (tmp_path / "out" / "checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(OutputError, match="cannot be read"):
        run(other, data, tmp_path / "out")
    for wrong in (
        replace(one, encoder="facebook/nowhere"),
        replace(one, start="nowhere.pth"),
        replace(one, pairs=replace(one.pairs, side=SIDE + 1)),
    ):
        with pytest.raises((ConfigError, WeightsError), match=r"nowhere|pairs\.side is 85"):
            run(wrong, data, tmp_path / "unread")
    assert not (tmp_path / "unread" / "tables").exists(), "before annotations are read"
    with pytest.raises(SourceError, match="does not exist"):
        run(one, tmp_path / "nowhere", tmp_path / "other")
    with Lease(str(tmp_path / "out"), "another"), pytest.raises(OutputError, match="another run"):
        run(one, data, tmp_path / "out")
    with pytest.raises(ConfigError, match="on a disk that all workers see"):
        run(one, data, "memory://out")
    with pytest.raises(ConfigError, match="need Ray"):
        run(one, data, tmp_path / "out", workers=2, engine="local")
    with pytest.raises(ConfigError, match="--gpu: training would run on the CPU"):
        run(one, data, tmp_path / "out", gpu=True)


def test_progress_in_one_line():
    parts = {"classes": 0.5, "presence": 0.25, "bce": 0.125, "dice": 0.125}
    entry = {**parts, "step": 30, "loss": 1.0, "pairs_per_second": 4.0, "seconds_left": 140.0}
    assert progress_line(entry, 100) == (
        "step 30 of 100, loss 1.000 (classes 0.500, presence 0.250, masks 0.250), 4.0 pairs/s, "
        "00:02:20 left"
    )
    assert progress_line({**entry, "seconds_left": 140000.0}, 100).endswith("1 day 14:53:20 left")

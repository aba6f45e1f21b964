"""Every real class of the published method, tiny and random, through Ray and in one process."""

import shutil

import numpy as np
import pytest

import ipseg
from ipseg.config import load_config
from ipseg.metrics import Counts
from ipseg.objects import Object
from pipeline.planning.plan import make_plan
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment

DINOV2 = ("features.dinov2.size=280",)
STABLE_DIFFUSION = ("features.stable_diffusion.size=256", "features.stable_diffusion.crop=192")


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        ("ipseg-released", (*DINOV2, *STABLE_DIFFUSION)),
        ("ipseg-paper", (*DINOV2, *STABLE_DIFFUSION)),
        ("ipseg-light", DINOV2),
        ("dinov2", DINOV2),
    ],
)
def test_the_other_profiles_find_their_tiny_weights_and_run(profile, sizes, tiny_root, photos):
    model = ipseg.load(profile, [f"models.root={tiny_root}", *sizes])
    model.set_prompts({"cup": photos["cup"]})
    found = model.segment(photos["cup"][:, ::-1].copy())
    assert all(np.isfinite(score) and 0 <= score <= 1 for score in found.scores.values())
    assert all(mask.shape == photos["cup"].shape[:2] for mask in found.masks.values())


@pytest.mark.usefixtures("ray_session")
def test_fractional_actors_give_the_rows_of_the_local_engine(
    tiny_root, image_folder, prompt_folder, tmp_path, monkeypatch
):
    settings = [
        *(f"models.root={tiny_root}", "runtime.batch_size=2", "runtime.actors=1"),
        *(*STABLE_DIFFUSION, *DINOV2),
    ]
    config = load_config("ipseg", settings)
    images = tmp_path / "images"
    images.mkdir()
    for name in ("cup-crop.jpg", "deep/cat-flipped.jpg", "rocket.jpg", "broken.jpg"):
        shutil.copy(image_folder / name, images)
    plans = []
    monkeypatch.setattr(
        "pipeline.engines.ray_engine.make_plan",
        lambda *args, **more: plans.append(make_plan(*args, **more)) or plans[-1],
    )

    def rows(engine, **prompts):
        out = str(tmp_path / engine)
        run = segment(Request(str(images), out, config, engine=engine, **prompts))
        assert run.counts["failed"] == 1, "the broken file"
        return {row["key"]: row for row in read_rows(out)}

    local = rows("local", prompts=str(prompt_folder))
    distributed = rows("ray", bank=str(tmp_path / "local"))
    shares = {each.stage.name: each.gpus for each in plans[-1].stages if each.stage.actor}
    assert all(0 < share < 1 for share in shares.values()), "fractions of a card"
    assert distributed.keys() == local.keys()
    for key, row in distributed.items():
        assert row["row_status"] == local[key]["row_status"]
        found, expected = (
            [Object.from_record(record) for record in rows]
            for rows in (row["objects"], local[key]["objects"])
        )
        for mine, other in zip(found, expected, strict=True):
            assert (mine.concept, mine.category_id) == (other.concept, other.category_id)
            assert np.array_equal(mine.points, other.points)
            assert Counts.of(mine.mask, other.mask).iou >= 0.999
            assert np.isfinite(mine.score)

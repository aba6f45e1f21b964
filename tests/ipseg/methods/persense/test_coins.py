"""The photo of coins, by one of them, with nothing to download."""

import numpy as np

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png
from jobs.demo.coins import coins


def test_by_one_coin_nearly_all_are_found_and_little_else(tmp_path):
    image, masks = coins()
    (tmp_path / "coins.png").write_bytes(encode_png(image))
    (tmp_path / "one.png").write_bytes(encode_png(masks[8].astype(np.uint8) * 255))
    config = load_config("persense-classical")
    chain = prompt_chains({"": config}).steps
    prepare(chain)
    prompt = {"key": "a", "concept": "coin", "uri": f"{tmp_path}/coins.png"}
    done = list(run_local(chain, [{**prompt, "given_mask": f"{tmp_path}/one.png#object"}]))
    bank = PromptsInMemory(done, config.method.merge)
    steps = image_chain({"": config}, {"": bank})
    prepare(steps)
    (row,) = run_local(steps, [{"key": "a", "uri": f"{tmp_path}/coins.png"}])
    overlaps = np.array(
        [[(o.mask & m).sum() / (o.mask | m).sum() for m in masks] for o in row["objects"]]
    )
    assert (overlaps.max(axis=0) >= 0.5).sum() >= 22
    assert (overlaps.max(axis=1) < 0.5).sum() <= 2
    assert abs(row["crowds"][0].count - 24) <= 1
    for each in row["objects"]:
        assert 0 <= each.score <= 1
        assert each.bbox[2] * each.bbox[3] >= each.area
        x, y, _ = each.points[0]
        assert each.bbox[0] <= x <= each.bbox[0] + each.bbox[2]
        assert each.bbox[1] <= y <= each.bbox[1] + each.bbox[3]

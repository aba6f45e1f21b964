"""INSID3 and FoRIS with tiny weights, on real photos."""

import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png


@pytest.fixture(scope="module")
def config(tiny_root):
    def config(*overrides, profile="insid3"):
        usual = [f"models.root={tiny_root}", "models.device=cpu", "network.size=128"]
        return load_config(profile, [*usual, "components=8", *overrides])

    return config


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Prompts (concept, image, mask) as a bank; of `copies`, each is so many concepts."""
    folder = tmp_path_factory.mktemp("prompts")

    def described(config, *prompts, copies=None):
        rows = []
        for number, (concept, image, mask) in enumerate(prompts):
            path = folder / f"{number}.mask.png"
            path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
            row = {"key": str(number), "uri": str(number), "image_bytes": encode_png(image)}
            rows.append(row | {"concept": concept, "given_mask": f"{path}#object"})
        steps = prompt_chains({"": config}).steps
        prepare(steps)
        done = list(run_local(steps, rows))
        if copies is not None:
            done = [{**each, "concept": f"{n}"} for n in range(copies) for each in done]
        return PromptsInMemory(done, config.method.merge)

    return described


@pytest.fixture(scope="module")
def steps_of():
    def steps_of(config, bank):
        steps = image_chain({"": config}, {"": bank})
        prepare(steps)
        return steps

    return steps_of


@pytest.fixture(scope="module")
def prompts(photos):
    cup, cat = photos["cup"], photos["cat"]
    masks = [np.zeros(image.shape[:2], bool) for image in (cup, cat)]
    masks[0][60:180, 70:230] = True
    masks[1][30:190, 60:260] = True
    return [("cup", cup, masks[0]), ("cat", cat, masks[1])]

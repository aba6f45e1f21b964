import pytest

from ipseg.config import load_config
from ipseg.weights.catalogue import CATALOGUE, needs


def named(profile, *overrides):
    return {need.name: need for need in needs(load_config(profile, overrides).resolved)}


def test_the_published_method_needs_four():
    assert set(named("ipseg")) == {
        "cornet_rgb_duts_tr.pth",
        "facebook/dinov2-base",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sam_vit_h_4b8939.pth",
    }


def test_weights_of_two_parts_are_needed_once():
    need = named("ipseg-light")["facebook/dinov2-small"]
    assert need.parts == ("support.saliency", "features.dinov2")


def test_the_odise_term_needs_its_checkpoint_and_clip():
    more = named("ipseg", "features.stable_diffusion.odise=odise_label_coco_50e-b67d2efc.pth")
    extra = set(more) - set(named("ipseg"))
    assert extra == {"odise_label_coco_50e-b67d2efc.pth", "openai/clip-vit-large-patch14-336"}
    assert more["odise_label_coco_50e-b67d2efc.pth"].source.commercial is False


def test_features_with_weight_0_need_nothing():
    assert "facebook/dinov2-base" not in named("ipseg", "features.dinov2.weight=0")


def test_a_support_that_goes_by_masks_needs_no_saliency():
    assert "cornet_rgb_duts_tr.pth" not in named("ipseg", "support=mask")


def test_the_classical_profile_needs_nothing():
    assert not named("classical")


@pytest.mark.parametrize(
    ("name", "layout"), [("own/model", "transformers"), ("./folder", "file"), ("my.pth", "file")]
)
def test_unlisted_weights_are_known_by_their_name(name, layout):
    found = named("ipseg-light", f"features.dinov2.weights={name}")[name]
    assert found.source.layout == layout
    assert found.source.commercial is None


def test_every_entry_has_a_source():
    for name, source in CATALOGUE.items():
        assert source.licence
        assert (source.layout == "file") == bool(source.page) == name.endswith(".pth")

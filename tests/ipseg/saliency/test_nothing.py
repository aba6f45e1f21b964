import numpy as np
import pytest

from ipseg.errors import ConfigError, PromptError
from ipseg.networks.models import Models
from ipseg.saliency.given import GivenMask
from ipseg.saliency.nothing import NoSaliency
from ipseg.saliency.weak import is_weak

IMAGE = np.zeros((5, 8, 3), np.uint8)


def test_none_takes_the_whole_image():
    saliency = NoSaliency()
    saliency.setup(Models())
    for found in (saliency.predict(IMAGE), saliency.isolate(IMAGE)):
        assert found.dtype == np.float32
        assert np.array_equal(found, np.ones((5, 8)))
    assert not is_weak(saliency.isolate(IMAGE))


def test_given_refuses_a_prompt_without_a_mask_and_says_where_to_put_it():
    saliency = GivenMask()
    saliency.setup(Models())
    with pytest.raises(PromptError, match=r"no mask.*NAME\.mask\.png next to"):
        saliency.isolate(IMAGE)


def test_given_has_no_map_for_images():
    with pytest.raises(ConfigError, match=r"matching\.saliency_weight=0"):
        GivenMask().predict(IMAGE)

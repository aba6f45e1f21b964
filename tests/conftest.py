"""One Ray for the whole test session, and a small collection of real photos."""

from __future__ import annotations

import fcntl
import gc
import os
from functools import cache
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # networks are tiny: more threads are slower
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (else parallel tests take the CPUs)

import cv2
import numpy as np
import pytest
from hypothesis import settings
from skimage import data
from xdist.scheduler import LoadScopeScheduling

from ipseg.vision.images import encode_jpeg

# The same examples in every run, so that failures are due to changes. To search for new ones:
# `pytest --hypothesis-profile=explore`.
settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile("reproducible")


class OneRay(LoadScopeScheduling):
    """Hands whole files to the workers of `pytest -n 3`; all those that share Ray go to one.

    It gets them first, as they take the longest and wait a lot; the rest goes on beside them.
    """

    def _split_scope(self, nodeid):
        return _scope(self.config.rootpath, nodeid.partition("::")[0])

    def _assign_work_unit(self, node):
        if "ray" in self.workqueue:
            self.workqueue.move_to_end("ray", last=False)
        super()._assign_work_unit(node)


@cache
def _scope(root, file):
    return "ray" if "ray_session" in (root / file).read_text() else file


def pytest_xdist_make_scheduler(config, log):
    return OneRay(config, log)


def pytest_collection_finish():
    """Imported modules stay: the garbage collector does not need to scan them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def ray_session():
    """Ray on two cores, as on the smallest supported machine; nodes can be added."""
    import ray
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 2,
        "num_gpus": 2,  # logical: fractions are scheduled as with real GPUs
        "object_store_memory": 300 * 2**20,
        "include_dashboard": False,
        # A dead machine is noticed in 4 s, not in 15 s or more.
        "_system_config": {"health_check_period_ms": 400, "health_check_failure_threshold": 10},
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory) -> Path:
    """Tiny weights of every real class, for `models.root`; nobody may change them.

    Workers of `pytest -n` share them: the first one that needs them writes them.
    """
    from ipseg.weights.tiny import write_tiny

    mine = tmp_path_factory.getbasetemp()
    root = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "tiny"
    written = root.with_suffix(".written")
    with written.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not written.stat().st_size:
            write_tiny(root)
            file.write("whole")
    return root


@pytest.fixture(scope="session")
def photos():
    """Name -> (H, W, 3) uint8 RGB, long side at most 320: quick to segment."""
    found = {"cup": data.coffee(), "cat": data.chelsea(), "rocket": data.rocket()}
    small = {}
    for name, image in found.items():
        scale = 320 / max(image.shape[:2])
        small[name] = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small


@pytest.fixture(scope="session")
def prompt_folder(tmp_path_factory, photos) -> Path:
    """`cup.jpg` and `cat/1.jpg`, the latter with its mask."""
    root = tmp_path_factory.mktemp("prompts")
    (root / "cup.jpg").write_bytes(encode_jpeg(photos["cup"]))
    (root / "cat").mkdir()
    (root / "cat" / "1.jpg").write_bytes(encode_jpeg(photos["cat"]))
    mask = np.zeros(photos["cat"].shape[:2], np.uint8)
    cv2.ellipse(mask, (150, 110), (110, 85), 0, 0, 360, 255, -1)
    cv2.imwrite(str(root / "cat" / "1.mask.png"), mask)
    return root


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory, photos) -> Path:
    """Seven images in two folders (one is truncated), and a file that is not an image."""
    root = tmp_path_factory.mktemp("images")
    (root / "deep").mkdir()
    (root / "cup-flipped.jpg").write_bytes(encode_jpeg(photos["cup"][:, ::-1].copy()))
    (root / "cup-dark.jpg").write_bytes(encode_jpeg((photos["cup"] * 0.6).astype(np.uint8)))
    (root / "cup-crop.jpg").write_bytes(encode_jpeg(photos["cup"][20:, 30:].copy()))
    (root / "deep" / "cat-flipped.jpg").write_bytes(encode_jpeg(photos["cat"][:, ::-1].copy()))
    (root / "deep" / "cat-crop.jpg").write_bytes(encode_jpeg(photos["cat"][:, 40:280].copy()))
    (root / "rocket.jpg").write_bytes(encode_jpeg(photos["rocket"]))
    (root / "broken.jpg").write_bytes(encode_jpeg(photos["rocket"])[:900])
    (root / "notes.txt").write_text("not an image")
    return root

"""OpenCV comes in four builds that overwrite each other: nothing may need what only one has."""

import ast
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[3]

# Modules of opencv_contrib that have names in Python (docs.opencv.org, "Extra modules").
CONTRIB = {
    *("alphamat", "aruco", "bgsegm", "bioinspired", "ccalib", "cudaarithm", "cudafilters", "cvv"),
    *("datasets", "dnn_superres", "face", "freetype", "ft", "hdf", "hfs", "img_hash"),
    *("intensity_transform", "kinfu", "large_kinfu", "legacy", "line_descriptor", "linemod"),
    *("mcc", "motempl", "multicalib", "optflow", "ovis", "phase_unwrapping", "plot"),
    *("ppf_match_3d", "quality", "rapid", "reg", "rgbd", "saliency", "sfm", "signal", "stereo"),
    *("structured_light", "superres", "surface_matching", "text", "tracking", "viz"),
    *("wechat_qrcode", "xfeatures2d", "ximgproc", "xphoto"),
}


def used_names(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "cv2":
            yield node.attr


@pytest.mark.parametrize("package", ["ipseg", "pipeline", "jobs", "tests"])
def test_every_build_of_opencv_will_do(package):
    uses = [(f, name) for f in (ROOT / package).rglob("*.py") for name in used_names(f)]
    assert all(hasattr(cv2, name) for _, name in uses), "a name that OpenCV does not have"
    assert not [use for use in uses if use[1] in CONTRIB]

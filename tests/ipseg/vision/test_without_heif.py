"""Where pillow-heif is not installed, HEIC photos are left out and named with the remedy."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules["pillow_heif"] = None
from ipseg.vision.heif import heif_hint
from ipseg.vision.images import FORMATS, IMAGE_SUFFIXES
from pipeline.runfolder.ignored import ignored_line
assert "HEIF" not in FORMATS and ".heic" not in IMAGE_SUFFIXES
assert heif_hint([".txt"]) == ""
print(ignored_line({".heic": 4, ".txt": 1}))
"""


def test_it_is_named_among_the_files_left_out_with_the_remedy():
    words = [sys.executable, "-c", SCRIPT]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    remedy = "5 files left out: 4 .heic, 1 .txt; for HEIC: pip install 'ipseg[heif]'\n"
    assert ended.stdout == remedy

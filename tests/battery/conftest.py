"""The battery is of several modules; they find each other by their folder."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def scenes(tmp_path_factory, photos):
    from scenes import write_scenes

    return write_scenes(tmp_path_factory.mktemp("scenes"), photos)

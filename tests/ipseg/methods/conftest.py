"""Modules of this folder find each other by it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

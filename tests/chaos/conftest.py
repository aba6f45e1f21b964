"""The suite is made of programs, too: its modules find each other by their folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

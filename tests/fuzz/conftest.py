"""The modules beside this file are imported by their names, as `make fuzz` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""The chaos suite, short form: one trial of most kinds. `make chaos` is the long one."""

import pytest
from faults import KINDS
from trial import Place, run_trial

SEED = 1
pytestmark = pytest.mark.timeout(300)  # programs are started, and Ray waits for the dead
LOCAL = (
    "ipseg SIGTERM (local)",
    "driver SIGINT (local)",
    "disk full (local)",
    "quota reached (local)",
    "S3 5 % (local)",
    "corrupt images (local)",
)


@pytest.mark.parametrize("kind", LOCAL)
def test_started_again_it_ends_as_if_nothing_had_happened(kind, tmp_path):
    report = run_trial(KINDS[kind], SEED, Place(tmp_path))
    assert not report.findings.wrong, str(report)

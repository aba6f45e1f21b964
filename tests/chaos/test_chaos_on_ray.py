"""The chaos suite, short form: what happens to workers, drivers and machines of one Ray session.

Rows that end their worker have a test of their own: tests/pipeline/test_poison.py.
"""

import pytest
from faults import KINDS
from trial import Place, run_trial

pytestmark = pytest.mark.timeout(300)  # programs are started, and Ray waits for the dead


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("worker killed in setup", 1),
        ("driver SIGINT (ray)", 1),
        ("ray job stop", 1),
        ("machine killed", 4),  # another takes its place, and the run has to go on
    ],
)
def test_started_again_it_ends_as_if_nothing_had_happened(kind, seed, tmp_path, ray_session):
    place = Place(tmp_path, ray_session.address, ray_session)
    report = run_trial(KINDS[kind], seed, place)
    assert not report.findings.wrong, str(report)

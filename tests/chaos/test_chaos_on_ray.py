"""The chaos suite, short form: what happens to the workers and drivers of one Ray session."""

import pytest
from faults import KINDS
from trial import Place, run_trial

SEED = 1
pytestmark = pytest.mark.timeout(300)  # programs are started, and Ray waits for the dead


@pytest.mark.parametrize(
    "kind", ["worker killed", "worker killed in setup", "driver SIGKILL (ray)"]
)
def test_started_again_it_ends_as_if_nothing_had_happened(kind, tmp_path, ray_session):
    import ray

    address = ray.get_runtime_context().gcs_address
    report = run_trial(KINDS[kind], SEED, Place(tmp_path, address))
    assert not report.findings.wrong, str(report)

import json

import pytest

from jobs.demo.run import run_demo


@pytest.mark.usefixtures("ray_session")
def test_the_demo_beats_its_baselines_and_reports(tmp_path, capfd):
    run_demo(tmp_path / "demo", images=8, seed=0, as_json=True)
    result = json.loads(capfd.readouterr().out)
    assert result["rows"] == {"ok": 8, "empty": 0, "failed": 0, "poisoned": 0}
    assert set(result["baselines"]) == {
        "all foreground",
        "centre ellipse",
        "saliency of the image",
    }
    assert result["quality"]["mean_iou"] > max(result["baselines"].values())
    assert result["quality"]["average_precision"] > 0.7
    assert [s["stage"] for s in result["stages"]] == [
        *("read", "match+points+segment", "ground-truth+judge")
    ]
    assert all(s["bytes_per_row"] < 100_000 for s in result["stages"])
    report = (tmp_path / "demo" / "run" / "report.html").read_text()
    assert "saliency of the image" in report
    assert json.loads((tmp_path / "demo/run/metrics.json").read_text())["baselines"]

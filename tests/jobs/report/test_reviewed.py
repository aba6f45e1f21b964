"""The report honours what people decided, and draws thresholds and the calibration."""

import re

import numpy as np
from skimage import data

from ipseg.scores.calibrator import Calibrator
from jobs.report.write import write_report
from pipeline.labels.calibration import Calibration, Fitted, Sample, origin_of_scores
from pipeline.labels.decisions import Decision, Session, mask_hash
from pipeline.labels.measure import measure
from pipeline.labels.truth import Labels
from pipeline.runfolder.manifest import Manifest

SIZE = data.chelsea().shape[:2]


def about(found, verb, key, **more):
    return Decision(key, verb, found.concept, found.instance, mask_hash(found.segmentation), **more)


def test_rejected_masks_are_not_results(maker, page, tmp_path):
    out = str(tmp_path)
    cat = maker.found("cat", maker.disc(SIZE, (150, 120), 60), 0.9)
    cup = maker.found("cup", maker.disc(SIZE, (150, 300), 40), 0.85)
    rows = [maker.row(key, "chelsea", objects=[cat, cup], metrics=[]) for key in "abc"]
    maker.write(out, rows, ["cat", "cup"])
    assert "Decided by people" not in page(write_report(out)).text
    Session(out, "ann").add(
        [
            about(cat, "accept", "a"),
            about(cup, "reject", "a"),
            about(cup, "reject", "b"),
            about(cup, "relabel", "c", relabel="bowl"),
        ]
    )
    found = page(write_report(out))
    results = found.sections["Results"]
    assert "Decided by people: 2 accepted, 2 rejected" in results
    masks = re.findall(r'class="n wide">(\d+)</td><td class="n">\d+</td>', results)
    assert masks == ["3", "0"], "with a mask: cats, and no cup any more"
    drawn = found.sections["Highest scores"]
    assert drawn.count('class="name">cat') == 3
    assert ('class="name">cup' in drawn, 'class="name">bowl' in drawn) == (False, True)


def test_thresholds_are_drawn_where_they_are(maker, page, tmp_path):
    out = str(tmp_path)
    mask = maker.disc(SIZE, (150, 120), 60)
    scores = [0.1] * 12 + [0.9] * 8
    rows = [
        maker.row(str(n), "chelsea", objects=[maker.found("cat", mask, score)], metrics=[])
        for n, score in enumerate(scores)
    ]
    maker.write(out, rows, ["cat", "dog"])
    results = page(write_report(out)).sections["Results"]
    (threshold,) = re.findall(r"suggested threshold (0\.\d+)<", results)
    assert 0.3 < float(threshold) < 0.7
    assert "absent" in results.split("dog")[1]


def test_the_calibration_is_drawn_and_probabilities_stand_beside_scores(maker, page, tmp_path):
    out = str(tmp_path)
    cat = maker.found("cat", maker.disc(SIZE, (150, 120), 60), 0.9)
    maker.write(out, [maker.row("a", "chelsea", objects=[cat], metrics=[])], ["cat"])
    draw = np.random.default_rng(0)
    objects = [(str(n), "cat", x, bool(draw.random() < x)) for n, x in enumerate(draw.random(60))]
    labels = Labels("masks/", objects, objects, {(key, "cat"): 1 for key, *_ in objects})
    probability = Sample.of(objects).confidence
    function = Calibrator("isotonic", knots=((0.0, 0.0), (1.0, 0.8)))
    numbers = {"objects": 60, "images": 60, "source": "masks/", "good": 30}
    Calibration(
        mask=Fitted(function),
        presence=None,
        thresholds={},
        otherwise=0.625,
        about={**origin_of_scores(Manifest.read(out)), "run": out, "labels": numbers}
        | {"date": "2026-01-01T00:00:00+00:00", "precision": None},
        measured=measure(labels, probability, None),
    ).write(out)
    found = page(write_report(out))
    drawn = found.sections["Calibration"]
    assert drawn.count("<circle") == 10
    assert drawn.count("<polyline") == 2
    assert "60 objects in 60 images of masks/" in drawn
    assert "probability 0.72" in found.sections["Highest scores"]

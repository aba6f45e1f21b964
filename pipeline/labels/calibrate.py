"""`ipseg calibrate` as a function: labels of a run in, a calibration of its scores out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ipseg.errors import ConfigError, OutputError
from ipseg.scores.calibrator import check
from ipseg.scores.curves import threshold_for
from pipeline.labels.calibration import FILE, OWN, Calibration, Fitted, Sample, about_labels
from pipeline.labels.measure import measure
from pipeline.labels.truth import Labels, labels_from_masks, labels_from_review
from pipeline.runfolder.manifest import Manifest

_HALF = 0.5  # probability of a label, where no precision is wanted


@dataclass(frozen=True)
class Calibrated:
    """What came of it.

    Attributes:
        calibration: as it stands in the run folder now.
        measured: how it does on the labels that were given; None without labels.
        warnings: what a person should know.
    """

    calibration: Calibration
    measured: Mapping[str, Any] | None
    warnings: tuple[str, ...]


def calibrate(
    out: str,
    *,
    masks: str | None = None,
    reviewed: bool = False,
    of: str | None = None,
    precision: float | None = None,
    every_image: bool = False,
) -> Calibrated:
    """Calibrates the scores of a run, and writes OUT/calibration.json; no model runs.

    Args:
        out: run folder.
        masks: folder of ground truth, see `labels_from_masks`.
        reviewed: what people decided serves as labels, see `labels_from_review`.
        of: run folder whose calibration is taken over; with labels it is measured on them.
        precision: that labels should have; thresholds are chosen for it. None: for a probability
            of 0.5.
        every_image: see `labels_from_masks`.

    Raises:
        ConfigError: a wrong call, too few labels, or scores of another method or other settings.
        SourceError, OutputError: labels or runs that cannot be read.
    """
    out = out.rstrip("/")
    _check_call(masks, of, precision, reviewed=reviewed)
    manifest = _manifest(out)
    concepts = manifest.about["concepts"]
    labels = None
    if masks is not None:
        labels = labels_from_masks(out, masks, concepts, every_image=every_image)
    elif reviewed:
        labels = labels_from_review(out, concepts)
    if of is not None:
        return _taken_over(out, manifest, of.rstrip("/"), labels)
    if labels is None:
        raise ConfigError("give labels: --labels DIR or --reviewed, or --from RUN")
    return _fitted(out, manifest, labels, precision)


def _check_call(
    masks: str | None, of: str | None, precision: float | None, *, reviewed: bool
) -> None:
    if masks is not None and reviewed:
        raise ConfigError("give either --labels or --reviewed")
    if of is not None and precision is not None:
        raise ConfigError("--precision chooses thresholds of a new calibration, not of --from")
    if precision is not None and not 0 < precision < 1:
        raise ConfigError(f"--precision is between 0 and 1, not {precision}")


def _manifest(out: str) -> Manifest:
    manifest = Manifest.read(out)
    if manifest is None:
        raise OutputError(f"no run at {out}: it has no manifest.json")
    return manifest


def _fitted(out: str, manifest: Manifest, labels: Labels, precision: float | None) -> Calibrated:
    objects, images = Sample.of(labels.objects), Sample.of(labels.images)
    warnings = [f"left out: {number} {why}" for why, number in labels.left_out.items()]
    try:
        check(objects.confidence, objects.outcomes)
    except ConfigError as error:
        raise ConfigError("; ".join([str(error), *warnings])) from error
    mask, good = objects.fitted(), objects.held_out()
    presence, present = None, None
    try:
        check(images.confidence, images.outcomes)
        presence, present = images.fitted(), images.held_out()
    except ConfigError as error:
        warnings.append(f"presence in an image is not calibrated: {error}")
    thresholds, otherwise, lacking = _thresholds(objects, mask, precision)
    warnings += lacking
    known = [each for each in (*thresholds.values(), otherwise) if each is not None]
    calibration = Calibration(
        mask=mask,
        presence=presence,
        thresholds=thresholds,
        otherwise=otherwise,
        about=about_labels(manifest, labels, precision),
        measured=measure(labels, good, present, known),
    )
    calibration.write(out)
    return Calibrated(calibration, calibration.measured, tuple(warnings))


def _thresholds(
    objects: Sample, mask: Fitted, precision: float | None
) -> tuple[dict[str, float | None], float | None, list[str]]:
    """Of concepts with labels of their own, of the others; and what could not be had."""

    def least(sample: Sample, concept: str | None) -> float | None:
        if precision is not None:
            return threshold_for(sample.confidence, sample.outcomes, precision)
        function = mask.pooled if concept is None else mask.of(concept)
        return function.reaches(_HALF)

    otherwise = least(objects, None)
    own = {
        name: least(mine, name)
        for name in sorted(set(objects.concepts))
        if len((mine := objects.of_concept(name)).keys) >= OWN
    }
    lacking = []
    if precision is not None:
        without = [f"'{name}'" for name, value in own.items() if value is None]
        if otherwise is None and len(own) < len(set(objects.concepts)):
            without.append("concepts without a function of their own")
        if without:
            lacking = [
                f"no threshold has a precision of {precision} with 95 % certainty for "
                f"{', '.join(without)}: `--threshold calibrated` leaves out all of their objects "
                f"that nobody accepted; give more labels, or want less"
            ]
    return own, otherwise, lacking


def _taken_over(out: str, manifest: Manifest, of: str, labels: Labels | None) -> Calibrated:
    calibration = Calibration.read(of)
    if calibration is None:
        raise OutputError(
            f"{of} has no {FILE}; `ipseg calibrate {shlex.quote(of)} --labels DIR` makes one"
        )
    if not calibration.fits(manifest):
        raise ConfigError(
            f"{of} was calibrated on scores of another method, or of other settings, than {out} has"
        )
    measured = None
    if labels is not None:
        good = Sample.of(labels.objects).by(calibration.mask)
        images = Sample.of(labels.images)
        present = None if calibration.presence is None else images.by(calibration.presence)
        least = [] if calibration.otherwise is None else [calibration.otherwise]
        measured = measure(labels, good, present, least)
    if of != out:
        calibration.write(out)
    return Calibrated(calibration, measured, ())

"""A calibration: what scores of a run are worth, fitted on labels; OUT/calibration.json.

Two events have a probability each: that an object's mask is good (IoU of at least 0.5 with the
truth), and that a concept is present in an image. Concepts with 200 labels have functions of their
own; the others share one, which is fitted on all labels pooled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ipseg.config import config_sha256
from ipseg.errors import ConfigError, OutputError
from ipseg.objects import Object
from ipseg.scores.calibrator import Calibrator, Outcomes, Values, check, fit, folds
from ipseg.storage.files import read_bytes, write_whole
from pipeline.labels.truth import Labels
from pipeline.runfolder.manifest import Manifest

FILE = "calibration.json"
VERSION = 1
OWN = 200  # labels from which a concept has a function of its own


@dataclass(frozen=True)
class Fitted:
    """Functions for one event.

    Attributes:
        pooled: of concepts without one of their own.
        concepts: concept -> its own.
    """

    pooled: Calibrator
    concepts: Mapping[str, Calibrator] = field(default_factory=dict)

    def of(self, concept: str) -> Calibrator:
        """The one that is used for a concept."""
        return self.concepts.get(concept, self.pooled)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Fitted:
        """The inverse of `record`."""
        read: Callable[[Mapping[str, Any]], Calibrator] = Calibrator.from_record
        own = {name: read(each) for name, each in record["concepts"].items()}
        return Fitted(read(record["pooled"]), own)


@dataclass(frozen=True)
class Sample:
    """Labels of one event as columns.

    Attributes:
        keys: image of each.
        concepts: concept of each.
        confidence: (n,) in [0, 1].
        outcomes: (n,) bool.
    """

    keys: list[str]
    concepts: list[str]
    confidence: Values
    outcomes: Outcomes

    @staticmethod
    def of(labels: Iterable[tuple[str, str, float, bool]]) -> Sample:
        """Of `Labels.objects` or `Labels.images`."""
        keys, concepts, confidence, outcomes = [list(c) for c in zip(*labels, strict=True)] or (
            [[], [], [], []]
        )
        return Sample(keys, concepts, np.array(confidence, np.float64), np.array(outcomes, bool))

    def at(self, places: Any) -> Sample:  # noqa: ANN401  (whatever indexes an array)
        """Some of them, by (k,) places or a (n,) mask."""
        chosen = np.arange(len(self.keys))[places]
        return Sample(
            [self.keys[n] for n in chosen],
            [self.concepts[n] for n in chosen],
            self.confidence[chosen],
            self.outcomes[chosen],
        )

    def of_concept(self, concept: str) -> Sample:
        """Those of one concept."""
        return self.at(np.array([name == concept for name in self.concepts], bool))

    def fitted(self) -> Fitted:
        """Functions for it, without asking whether there are enough labels."""
        own = {}
        for name in sorted(set(self.concepts)):
            mine = self.of_concept(name)
            if len(mine.keys) >= OWN:
                try:
                    check(mine.confidence, mine.outcomes)
                except ConfigError:  # all of one outcome: the pool knows more
                    continue
                own[name] = fit(mine.confidence, mine.outcomes, mine.keys)
        return Fitted(fit(self.confidence, self.outcomes, self.keys), own)

    def held_out(self) -> Values:
        """(n,) probabilities of each by functions that were fitted without its image."""
        probability = np.zeros(len(self.keys))
        for train, test in folds(self.keys):
            probability[test] = self.at(test).by(self.at(train).fitted())
        return probability

    def by(self, fitted: Fitted) -> Values:
        """(n,) probabilities of each by some functions."""
        probability = np.zeros(len(self.keys))
        for name in set(self.concepts):
            mine = np.array([each == name for each in self.concepts], bool)
            probability[mine] = fitted.of(name)(self.confidence[mine])
        return probability


@dataclass(frozen=True)
class Calibration:
    """What scores of one method with one set of settings are worth.

    Attributes:
        mask: for the event that an object's mask is good.
        presence: for the event that a concept is present in an image, given the highest confidence
            of its objects there, 0 if there is none; None where labels did not suffice.
        thresholds: concept -> least confidence of a label; None for one that no object reaches.
        otherwise: the same for concepts that had no labels.
        about: where it comes from: "method", "scores_sha256", "labels" (source, images, numbers),
            "date", "precision" that was wanted or None, "run".
        measured: what `pipeline.labels.measure` found.
    """

    mask: Fitted
    presence: Fitted | None
    thresholds: Mapping[str, float | None]
    otherwise: float | None
    about: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """16 hex digits over the functions; equal ones give equal probabilities."""
        presence = None if self.presence is None else self.presence.record()
        text = json.dumps([self.mask.record(), presence], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fits(self, manifest: Manifest) -> bool:
        """Whether it is of the scores that a run has now; not after `ipseg rescore`."""
        return all(self.about[name] == value for name, value in origin_of_scores(manifest).items())

    def probability(self, found: Object) -> float:
        """That the mask of an object is good."""
        return float(self.mask.of(found.concept)(found.confidence))

    def present(self, concept: str, confidence: float) -> float | None:
        """That a concept is in an image whose best object has this confidence; None: not known."""
        if self.presence is None:
            return None
        return float(self.presence.of(concept)(confidence))

    def threshold(self, concept: str) -> float | None:
        """Least confidence of a label of a concept; None if no object reaches it."""
        return self.thresholds.get(concept, self.otherwise)

    def write(self, out: str) -> None:
        """Writes it into a run folder."""
        record = {
            **{"v": VERSION, "id": self.id, **self.about},
            "mask": self.mask.record(),
            "presence": None if self.presence is None else self.presence.record(),
            "thresholds": dict(self.thresholds),
            "otherwise": self.otherwise,
            "measured": self.measured,
        }
        write_whole(f"{out.rstrip('/')}/{FILE}", (json.dumps(record, indent=1) + "\n").encode())

    @staticmethod
    def read(out: str) -> Calibration | None:
        """That of a run folder, None if there is none.

        Raises:
            OutputError: it cannot be used; names the file.
        """
        file = f"{out.rstrip('/')}/{FILE}"
        try:
            record = json.loads(read_bytes(file))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise OutputError(f"{file} is damaged ({error}); calibrate again") from error
        if record.get("v") != VERSION:
            raise OutputError(f"{file} is of another version of ipseg; calibrate again")
        return Calibration(
            mask=Fitted.from_record(record["mask"]),
            presence=Fitted.from_record(record["presence"]) if record["presence"] else None,
            thresholds=record["thresholds"],
            otherwise=record["otherwise"],
            about={name: record[name] for name in _ABOUT},
            measured=record["measured"],
        )


_ABOUT = ("method", "scores_sha256", "run", "labels", "date", "precision")
_ELSEWHERE = ("prompts", "source", "ground_truth")  # of an identity: other images, same scores


def origin_of_scores(manifest: Manifest) -> dict[str, Any]:
    """Method and settings of a run; equal ones make scores that can be compared."""
    settings = {k: v for k, v in manifest.identity.items() if k not in _ELSEWHERE}
    return {"method": manifest.about["method"], "scores_sha256": config_sha256(settings)}


def probabilities(calibration: Calibration | None, objects: Sequence[Object]) -> list[float | None]:
    """That the mask of each object is good; None where there is no calibration."""
    if calibration is None:
        return [None] * len(objects)
    return [calibration.probability(each) for each in objects]


def about_labels(manifest: Manifest, labels: Labels, precision: float | None) -> dict[str, Any]:
    """What a calibration says of its origin."""
    return {
        **origin_of_scores(manifest),
        "run": manifest.out,
        "labels": {
            "source": labels.source,
            "images": len(labels.keys),
            "objects": len(labels.objects),
            "good": sum(each[3] for each in labels.objects),
            "pairs": len(labels.images),
            "present": sum(each[3] for each in labels.images),
            "left_out": dict(labels.left_out),
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "precision": precision,
    }

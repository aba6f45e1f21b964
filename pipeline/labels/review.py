"""The state of a review: what holds after all decisions, object by object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ipseg.objects import Object
from ipseg.vision.masks import RLE
from pipeline.labels.categories import categories
from pipeline.labels.decisions import Decision, mask_hash, read_decisions

Status = Literal["auto", "accepted", "rejected", "edited"]


@dataclass(frozen=True)
class Verdict:
    """What holds for one object.

    Attributes:
        status: "auto" as long as nobody has decided; "edited" is accepted with a repaired mask.
        concept: what it is, if that was corrected.
        segmentation: the repaired mask.
        reason: of the rejection.
        by: who decided last; None for nobody, and for a rule.
        rule: whether a rule accepted it, and nobody looked at it.
        disputed: whether people disagree.
        before: the status that was decided for this object when its mask was another one.
        sampled: how the object was drawn for the decision that holds.
    """

    status: Status = "auto"
    concept: str | None = None
    segmentation: RLE | None = None
    reason: str | None = None
    by: str | None = None
    rule: bool = False
    disputed: bool = False
    before: Status | None = None
    sampled: Mapping[str, Any] | None = None

    @property
    def decided(self) -> bool:
        """Whether a person has looked at it and decided."""
        return self.by is not None


_AUTO = Verdict()
_Place = tuple[str, str, int | None]  # key, concept, instance


class Review:
    """All decisions about a run, ready to be looked up.

    Args:
        decisions: in the order in which they hold.
        numbers: category ids of concepts, for `apply`, from the decisions that are left.
    """

    def __init__(
        self,
        decisions: Iterable[Decision],
        numbers: Callable[[Sequence[Decision]], Mapping[str, int]] = lambda _: {},
    ) -> None:
        listed = list(decisions)
        undone = {each.undoes for each in listed if each.decision == "undo"}
        self.decisions = [
            each for each in listed if each.decision != "undo" and each.id not in undone
        ]
        self._of_mask: dict[tuple[str, str, str], list[Decision]] = {}
        self._of_place: dict[_Place, list[Decision]] = {}
        self._rules: dict[str, list[Decision]] = {}
        self._keys: set[str] = set()
        for each in self.decisions:
            if each.decision == "skip":
                continue
            if each.rule is not None:
                self._rules.setdefault(str(each.rule["concept"]), []).append(each)
                continue
            self._keys.add(each.key)
            if each.mask is not None:
                self._of_mask.setdefault((each.key, each.concept, each.mask), []).append(each)
            self._of_place.setdefault((each.key, each.concept, each.instance), []).append(each)
        relabelled = [each for each in self.decisions if each.relabel is not None]
        self._numbers = numbers(relabelled) if relabelled else {}

    @staticmethod
    def read(out: str) -> Review:
        """The review of a run folder; an empty one where nobody has decided anything.

        Raises:
            OutputError, OSError: as `read_decisions`.
        """
        return Review(read_decisions(out), lambda decisions: categories(out, decisions))

    @property
    def keys(self) -> set[str]:
        """Keys of images of which a person has decided something."""
        return self._keys

    def new_concepts(self, concepts: Sequence[str]) -> list[str]:
        """Names that people gave beyond some, in the order in which they were first given."""
        named = dict.fromkeys(each.relabel for each in self.decisions if each.relabel is not None)
        return [name for name in named if name not in concepts]

    def verdict(self, key: str, found: Object) -> Verdict:
        """What holds for an object that the run found in an image."""
        mask = mask_hash(found.segmentation)
        own = self._of_mask.get((key, found.concept, mask), [])
        absent = self._of_place.get((key, found.concept, None), [])
        decided = sorted([*own, *absent], key=lambda each: (each.at, each.session, each.seq))
        if not decided:
            return replace(self._by_rule(found), before=self._before(key, found, mask))
        verdict = _AUTO
        answers: dict[str, Status] = {}
        for each in decided:
            verdict = _after(verdict, each)
            answers[each.who] = verdict.status
        good = {status != "rejected" for status in answers.values()}
        return replace(verdict, disputed=len(good) > 1)

    def apply(self, key: str, objects: Iterable[Object]) -> list[Object]:
        """Objects as people left them: relabelled, repaired, without those they rejected.

        `status` is "accepted" or "edited" where somebody decided, else "auto".
        """
        left = []
        for found in objects:
            verdict = self.verdict(key, found)
            if verdict.status != "rejected":
                concept = verdict.concept or found.concept
                left.append(
                    replace(
                        found,
                        status=verdict.status,
                        concept=concept,
                        category_id=self._numbers.get(concept, found.category_id),
                        segmentation=verdict.segmentation or found.segmentation,
                    )
                )
        return left

    def _by_rule(self, found: Object) -> Verdict:
        rules = self._rules.get(found.concept, [])
        if any(found.score >= float(each.rule["min_score"]) for each in rules if each.rule):
            return Verdict("accepted", rule=True)
        return _AUTO

    def _before(self, key: str, found: Object, mask: str) -> Status | None:
        others = self._of_place.get((key, found.concept, found.instance), [])
        verdict = _AUTO
        for each in others:
            if each.mask != mask:
                verdict = _after(verdict, each)
        return None if verdict.status == "auto" else verdict.status


def _after(verdict: Verdict, decision: Decision) -> Verdict:
    """What holds when one more decision is made."""
    known = replace(verdict, by=decision.who, sampled=decision.sampled, reason=decision.reason)
    if decision.decision == "reject":
        return replace(known, status="rejected")
    segmentation = decision.segmentation or verdict.segmentation
    return replace(
        known,
        status="accepted" if segmentation is None else "edited",
        segmentation=segmentation,
        concept=decision.relabel or verdict.concept,
    )

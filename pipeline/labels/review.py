"""The state of a review: what holds after all decisions, object by object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from ipseg.objects import Object
from ipseg.vision.masks import RLE
from pipeline.labels.categories import categories
from pipeline.labels.decisions import Decision, mask_hash, read_decisions
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.open_run import RESCORE

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
_K = TypeVar("_K")
_Place = tuple[str, str, int | None]  # key, concept, instance


def scored_by(out: str) -> frozenset[str] | None:
    """Ids of the starts of a run since it was scored again last, or of all; None without a run."""
    manifest = Manifest.read(out)
    if manifest is None:
        return None
    rescored = [n for n, run in enumerate(manifest.runs) if run.get("engine") == RESCORE]
    first = rescored[-1] if rescored else 0
    return frozenset(str(run["run_id"]) for run in manifest.runs[first:])


class Review:
    """All decisions about a run, ready to be looked up.

    Args:
        decisions: in any order.
        numbers: category ids of concepts, for `apply`, from the decisions that relabel.
        scored_by: ids of the starts of a run that gave the scores it has now; rules that were made
            of others do not count. None lets all count.
    """

    def __init__(
        self,
        decisions: Iterable[Decision] = (),
        numbers: Callable[[Sequence[Decision]], Mapping[str, int]] = lambda _: {},
        scored_by: Collection[str] | None = None,
    ) -> None:
        self._scored_by = scored_by
        self._number = numbers
        self._numbers: Mapping[str, int] | None = None
        self._known: dict[str, Decision] = {}
        self._undone: set[str] = set()
        self._of_mask: dict[tuple[str, str, str], list[Decision]] = {}
        self._of_place: dict[_Place, list[Decision]] = {}
        self._rules: list[Decision] = []
        self._decided: set[tuple[str, str]] | None = None
        self._decisions: list[Decision] | None = None
        self.add(decisions)

    def add(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Takes in further decisions; one that is known by its id already changes nothing.

        Returns:
            Those whose objects, or rules, have another state now: the new ones, and those that are
            taken back.
        """
        touched = []
        for each in decisions:
            id = each.id or f"{len(self._known)} without id"
            if id in self._known:
                continue
            self._known[id] = each
            self._decided = self._numbers = self._decisions = None
            if each.decision == "undo":
                self._undone.add(each.undoes or "")
                touched += [self._known[each.undoes]] if each.undoes in self._known else []
                continue
            if each.decision == "skip":
                continue
            touched.append(each)
            if each.rule is not None:
                self._rules.append(each)
                continue
            if each.mask is not None:
                _insert(self._of_mask, (each.key, each.concept, each.mask), each)
            _insert(self._of_place, (each.key, each.concept, each.instance), each)
        return touched

    def find(self, id: str) -> Decision | None:
        """The decision of this id, taken back or not; None if there is none."""
        return self._known.get(id)

    @property
    def decisions(self) -> list[Decision]:
        """Those that hold, in order: nothing that was taken back."""
        if self._decisions is None:
            left = (each for each in self._known.values() if each.id not in self._undone)
            self._decisions = sorted((e for e in left if e.decision != "undo"), key=_when)
        return self._decisions

    @staticmethod
    def read(out: str) -> Review:
        """The review of a run folder; an empty one where nobody has decided anything.

        Raises:
            OutputError, OSError: as `read_decisions`.
        """
        decisions = read_decisions(out)
        return Review(decisions, lambda given: categories(out, given), scored_by(out))

    @property
    def keys(self) -> set[str]:
        """Keys of images of which a person has decided something."""
        return {key for key, _ in self.decided}

    @property
    def decided(self) -> set[tuple[str, str]]:
        """(key, concept) that a person has decided about: people look concept by concept."""
        if self._decided is None:
            self._decided = {
                (key, concept)
                for (key, concept, _), decisions in self._of_place.items()
                if any(each.id not in self._undone for each in decisions)
            }
        return self._decided

    def rules(self) -> dict[str, float]:
        """Concept -> the score from which on objects are accepted without being looked at."""
        least: dict[str, float] = {}
        for each in self._rules:
            if each.rule and each.id not in self._undone and self._is_of_these_scores(each):
                concept, score = str(each.rule["concept"]), float(each.rule["min_score"])
                least[concept] = min(score, least.get(concept, score))
        return least

    @property
    def stale_rules(self) -> int:
        """Rules that do not count any more, because the run was scored again after them."""
        return sum(
            each.id not in self._undone and not self._is_of_these_scores(each)
            for each in self._rules
        )

    def _is_of_these_scores(self, rule: Decision) -> bool:
        return self._scored_by is None or rule.run_id is None or rule.run_id in self._scored_by

    def new_concepts(self, concepts: Sequence[str]) -> list[str]:
        """Names that people gave beyond some, in the order in which they were first given."""
        named = dict.fromkeys(each.relabel for each in self.decisions if each.relabel is not None)
        return [name for name in named if name not in concepts]

    def verdict(self, key: str, found: Object) -> Verdict:
        """What holds for an object that the run found in an image."""
        mask = mask_hash(found.segmentation)
        own = self._holding(self._of_mask.get((key, found.concept, mask), ()))
        absent = self._holding(self._of_place.get((key, found.concept, None), ()))
        decided = sorted([*own, *absent], key=_when)
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

        `status` is "accepted" or "edited" where somebody decided, else "auto". An object that gets
        another concept gets a number behind those of that concept: the two still name it alone.
        """
        left, objects = [], list(objects)
        if not self.decisions:
            return objects
        numbers: dict[tuple[str, int, str], int] = {}
        for found in objects:
            verdict = self.verdict(key, found)
            if verdict.status != "rejected":
                concept = verdict.concept or found.concept
                left.append(
                    replace(
                        found,
                        status=verdict.status,
                        concept=concept,
                        instance=_instance(found, concept, objects, numbers),
                        category_id=self._category(concept, found),
                        segmentation=verdict.segmentation or found.segmentation,
                    )
                )
        return left

    def _category(self, concept: str, found: Object) -> int:
        if self._numbers is None:
            relabelled = [each for each in self.decisions if each.relabel is not None]
            self._numbers = self._number(relabelled) if relabelled else {}
        return self._numbers.get(concept, found.category_id)

    def _holding(self, decisions: Iterable[Decision]) -> list[Decision]:
        return [each for each in decisions if each.id not in self._undone]

    def _by_rule(self, found: Object) -> Verdict:
        least = self.rules().get(found.concept)
        return _AUTO if least is None or found.score < least else Verdict("accepted", rule=True)

    def _before(self, key: str, found: Object, mask: str) -> Status | None:
        others = self._holding(self._of_place.get((key, found.concept, found.instance), ()))
        verdict = _AUTO
        for each in sorted(others, key=_when):
            if each.mask != mask:
                verdict = _after(verdict, each)
        return None if verdict.status == "auto" else verdict.status


def _instance(
    found: Object,
    concept: str,
    objects: Sequence[Object],
    numbers: dict[tuple[str, int, str], int],
) -> int:
    """The number of an object; one behind all others where it gets another concept."""
    if concept == found.concept:
        return found.instance
    others = sum(name == concept for _, _, name in numbers)
    last = max((each.instance for each in objects if each.concept == concept), default=-1)
    return numbers.setdefault((found.concept, found.instance, concept), last + 1 + others)


def _when(decision: Decision) -> tuple[str, str, int]:
    return decision.at, decision.session, decision.seq


def _insert(lists: dict[_K, list[Decision]], place: _K, decision: Decision) -> None:
    lists.setdefault(place, []).append(decision)


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

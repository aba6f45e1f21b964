"""The routes of the review page. Images are found by number through the run's own reader."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ipseg.errors import IpsegError
from ipseg.vision.overlay import colour_of
from jobs.pages.views import css
from jobs.review.accepted import Prompts
from jobs.review.bulk import error_interval, sample
from jobs.review.guard import Door, Guard
from jobs.review.index import Index
from jobs.review.offers import MOST, ORDERS, Offers, Wanted
from jobs.review.posted import MOST_AT_ONCE, REASONS, RefusedError, find_object, parse
from jobs.review.rows import Rows
from jobs.review.similarity import Similarity
from jobs.review.state import FILTERS, State
from pipeline.labels.decisions import mask_hash

log = logging.getLogger("ipseg")

_PAGE = Path(__file__).parent / "page"
_LONGEST_NAME = 60
_FOR_GOOD = "private, max-age=86400, immutable"  # addresses have the version of the rows in them


class Server:
    """Answers of the page, for one run.

    Args:
        index: of the run.
        who: name of whoever does not give another one.
        thresholds: concept -> confidence at which an object is as likely right as wrong.
        start: what the page starts with, fields of `Wanted`.
    """

    def __init__(
        self,
        index: Index,
        who: str,
        thresholds: Mapping[str, float] | None = None,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        self.index = index
        self.who = who
        self.start = dict(start or {})
        self.rows = Rows(index)
        self.similarity = Similarity(index, self.rows)
        self.state = State(index, self.rows)
        self.prompts = Prompts(self.state, self.rows)
        self.offers = Offers(index, self.state, thresholds or {})

    def app(self, door: Door) -> Starlette:
        """The application behind its guard."""
        reads: dict[str, Callable[[Mapping[str, str]], Any]] = {
            "about": self.about,
            "items": self.items,
            "objects": self.objects,
            "find": self.find,
            "bulk": self.bulk,
            "interval": self.interval,
        }
        writes = {"decisions": self.decide, "prompt": self.prompt}
        return Starlette(
            routes=[
                Route("/", lambda _: FileResponse(_PAGE / "index.html")),
                *(Route(f"/api/{n}", _reading(f), methods=["GET"]) for n, f in reads.items()),
                *(Route(f"/api/{n}", _writing(f), methods=["POST"]) for n, f in writes.items()),
                Route("/image/{version}/{image:int}/{frame:int}", self._view),
                Route("/crop/{version}/{number:int}", self._crop),
                Route("/similarity/{version}/{number:int}", self._similarity),
                Mount("/page", StaticFiles(directory=_PAGE)),
            ],
            middleware=[Middleware(Guard, door=door)],
            exception_handlers={
                RefusedError: _explained,
                IpsegError: _explained,
                OSError: _explained,
                KeyError: _explained,
                ValueError: _explained,
            },
        )

    def about(self, _: Mapping[str, str]) -> Any:  # noqa: ANN401  (JSON)
        """What the page needs to start with, and how far the review is."""
        self.state.refresh()
        index = self.index
        return {
            **{"run": index.out, "run_id": index.run_id, "version": index.version},
            **{"who": self.who, "start": self.start, "images": len(index.keys)},
            **{"rows": index.rows, "failed": index.failed, "objects": len(index)},
            **{"orders": ORDERS, "filters": FILTERS, "reasons": REASONS, "sides": index.sides},
            "concepts": [
                {
                    **{"name": name, "colour": css(colour_of(number)), **counts},
                    "threshold": self.offers.middle(number),
                }
                for number, (name, counts) in enumerate(
                    zip(index.concepts, self.state.counts(), strict=True)
                )
            ],
        }

    def items(self, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        """The next objects under filters."""
        self.state.refresh()
        wanted, after = self._wanted(query), int(query.get("after", "0"))
        found = self.offers.next(wanted, max(0, after), max(1, int(query.get("size", "48"))))
        return {**found, "version": self.index.version}

    def objects(self, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        """Masks and points: of objects `o=1,2,3`, or of all objects of `image`."""
        if "image" in query:
            numbers = list(self.index.objects_of(_within(query["image"], len(self.index.keys))))
        else:
            numbers = [_within(each, len(self.index)) for each in query["o"].split(",")[:MOST]]
        return {"objects": [self._whole(number) for number in numbers]}

    def find(self, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        """An object by the key of its image, and its number among the objects there."""
        image = self.index.find(query.get("key", ""))
        numbers = () if image is None else self.index.objects_of(image)
        at = int(query.get("object", "0"))
        if not 0 <= at < len(numbers):
            raise HTTPException(HTTPStatus.NOT_FOUND, "the run has no such object")
        return self.offers.item(numbers[at])

    def bulk(self, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        """What a rule would accept."""
        wanted = Wanted(
            concept=self._wanted(query).concept, order="highest", least=float(query["least"])
        )
        seed = int(query.get("seed", "0"))
        return sample(self.offers, self.index.score, wanted, max(0, seed))

    def interval(self, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        """Error rate with its 95 % interval."""
        wrong, looked = int(query["wrong"]), int(query["looked"])
        if not 0 <= wrong <= looked or not looked:
            raise RefusedError("errors are among what was looked at")
        low, high = error_interval(wrong, looked)
        return {"rate": wrong / looked, "low": low, "high": high}

    def decide(self, body: Any) -> Any:  # noqa: ANN401
        """Stores decisions; each is either saved, or refused with a reason."""
        who, records = self._person(body), body.get("decisions")
        if not isinstance(records, list) or len(records) > MOST_AT_ONCE:
            raise RefusedError(f"decisions are a list of at most {MOST_AT_ONCE}")
        saved: list[str] = []
        refused: dict[str, str] = {}
        for record in records:
            id = record.get("id") if isinstance(record, dict) else None
            try:  # one by one: an undo may be of the decision before it
                decision = parse(record, self.state, self.rows)
                about = self.state.review.find(decision.undoes or "") or decision
                with self.prompts.following(about.key):
                    self.state.add(who, [decision])
                saved.append(str(id))
            except RefusedError as error:
                refused[str(id)] = str(error)
        return {"saved": saved, "refused": refused}

    def prompt(self, body: Any) -> Any:  # noqa: ANN401
        """Makes an accepted object a prompt of its concept, or takes that back."""
        self._person(body)
        number, found = find_object(self.index, self.rows, body)
        on = body.get("on") is True
        address = self.prompts.turn(body["key"], number, found, on=on)
        if on and address is None:
            raise RefusedError("accept it first; only accepted objects are prompts")
        return {"prompt": on, "file": address}

    def _whole(self, number: int) -> dict[str, Any]:
        image = int(self.index.image[number])
        found = self.rows.objects(image)[number - self.index.objects_of(image).start]
        repaired = self.state.verdict(number).segmentation
        return {
            **self.offers.item(number),
            "mask": mask_hash(found.segmentation),
            "segmentation": found.segmentation,
            "repaired": repaired,
            "points": [[round(float(v), 1) for v in point] for point in found.points],
            "predicted_iou": found.predicted_iou,
            "evidence": dict(found.evidence),
            "prompt": self.prompts.has(self.index.key(image), found),
        }

    def _wanted(self, query: Mapping[str, str]) -> Wanted:
        concept, order = query.get("concept", ""), query.get("order", ORDERS[0])
        status = query.get("status", FILTERS[0])
        if (concept and concept not in self.index.concepts) or order not in ORDERS:
            raise RefusedError("no such concept or order")
        if status not in FILTERS:
            raise RefusedError("no such status")
        if (side := query.get("side", "")) and side not in self.index.sides:
            raise RefusedError("no such side of a split")
        least, most = (float(query.get(n) or d) for n, d in (("least", 0), ("most", 1)))
        part = query.get("key", "")
        return Wanted(concept, order, status, least, most, part, side, _name(query))

    def _person(self, body: Any) -> str:  # noqa: ANN401
        if not isinstance(body, dict):
            raise RefusedError("this is no JSON object")
        return _name(body) or self.who

    async def _view(self, request: Request) -> Response:
        given = request.path_params
        image = _within(given["image"], len(self.index.keys))
        return await self._jpeg(request, lambda: self.rows.view(image, given["frame"]))

    async def _crop(self, request: Request) -> Response:
        number = _within(request.path_params["number"], len(self.index))
        return await self._jpeg(request, lambda: self.rows.crop(number))

    async def _similarity(self, request: Request) -> Response:
        number = _within(request.path_params["number"], len(self.index))
        data = await run_in_threadpool(self.similarity.of, number)
        return Response(data, media_type="image/png", headers={"cache-control": _FOR_GOOD})

    async def _jpeg(self, request: Request, make: Callable[[], bytes]) -> Response:
        if request.path_params["version"] != self.index.version:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the run has other rows by now")
        try:
            data = await run_in_threadpool(make)
        except (OSError, IpsegError, IndexError) as error:
            log.warning("review: cannot read an image: %s", error)
            raise HTTPException(HTTPStatus.NOT_FOUND, "the image cannot be read") from error
        return Response(data, media_type="image/jpeg", headers={"cache-control": _FOR_GOOD})


def _reading(answer: Callable[[Mapping[str, str]], Any]) -> Callable[..., Any]:
    async def route(request: Request) -> Response:
        return _json(await run_in_threadpool(answer, request.query_params))

    return route


def _writing(answer: Callable[[Any], Any]) -> Callable[..., Any]:
    async def route(request: Request) -> Response:
        body = json.loads(await request.body())
        return _json(await run_in_threadpool(answer, body))

    return route


def _json(value: object) -> Response:
    return JSONResponse(value, headers={"cache-control": "no-store"})


async def _explained(_: Request, error: Exception) -> Response:
    """400 for a wrong request; 503 where something cannot be read or written now."""
    later = isinstance(error, OSError | IpsegError)
    if later:
        log.error("review: %s", error)
    status = HTTPStatus.SERVICE_UNAVAILABLE if later else HTTPStatus.BAD_REQUEST
    return JSONResponse({"error": str(error)}, status)


def _within(text: str | int, size: int) -> int:
    number = int(text)
    if not 0 <= number < size:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such number")
    return number


def _name(given: Mapping[str, Any]) -> str:
    """Name of a person, as far as it can be printed."""
    who = given.get("who")
    text = "".join(c for c in who if c.isprintable()) if isinstance(who, str) else ""
    return text.strip()[:_LONGEST_NAME]

"""Two methods of one's own: forty instances of a concept, and sequences as rows."""

from dataclasses import dataclass

import numpy as np

from ipseg import Bank, Method, Object, Row, Step


@dataclass
class Keep(Step):
    name = "describe"
    requires = ("image", "support_mask")
    provides = ("prompt_features",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        return [row | {"prompt_features": {"ones": np.ones(3, np.float32)}} for row in rows]


@dataclass
class FindSquares(Step):
    """A square for each instance, in every frame a pixel further to the right."""

    bank: Bank
    count: int
    requires: tuple[str, ...]
    name = "find"
    provides = ("objects",)
    uses = ("asks",)

    def __call__(self, rows: list[Row]) -> list[Row]:
        return [row | {"objects": list(self.objects(row))} for row in rows]

    def objects(self, row: Row):
        for frame, image in enumerate(row["frames"] if "frames" in row else [row["image"]]):
            for entry in self.bank.asked(row):
                for instance in range(self.count):
                    mask = np.zeros(image.shape[:2], bool)
                    y, x = 8 * (instance // 8), 8 * (instance % 8)
                    mask[y : y + 5, x + frame % 3 : x + 5 + frame % 3] = True
                    more = {"instance": instance, "frame": frame}
                    score = 1 - instance / 100
                    yield Object.of(entry.concept, entry.category_id, mask, score, **more)


@dataclass(frozen=True)
class Instances(Method):
    count: int = 40

    def prompt_steps(self):
        return [Keep()]

    def image_steps(self, bank):
        return [FindSquares(bank, self.count, ("image",))]


@dataclass(frozen=True)
class Video(Method):
    count: int = 3
    row_is = "sequence"

    def prompt_steps(self):
        return [Keep()]

    def image_steps(self, bank):
        return [FindSquares(bank, self.count, ("frames",))]

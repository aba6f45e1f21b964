"""The three-line way in: load a profile, give prompts, segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Literal, overload

from ipseg.bank import Bank, PromptsInMemory
from ipseg.components import DEFAULT_PROFILE
from ipseg.config import Config, load_config
from ipseg.errors import ConfigError, ImageError, PromptError
from ipseg.inputs import ImageLike, Prompt, image_rows, is_one_image, prompt_rows
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.rows import Row, Step, is_failed
from ipseg.runner import prepare, run_local
from ipseg.segmentation import Segmentation
from ipseg.storage.files import exists

OnError = Literal["raise", "return"]
PromptLike = Prompt | ImageLike


class Model:
    """A loaded profile. Give it prompts, then images.

    Example:
        >>> model = ipseg.load("classical")
        >>> model.set_prompts({"cup": "cup.jpg"})
        >>> model.segment("table.jpg").masks["cup"]
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._steps: list[Step] = []
        self.bank: Bank | None = None

    def __repr__(self) -> str:
        """The profile and what is looked for."""
        names = "no prompts yet" if self.bank is None else ", ".join(self.bank.categories)
        return f"<Model {self.config.profile}: {names}>"

    def set_prompts(
        self,
        prompts: Bank
        | str
        | Path
        | Iterable[str | Path]
        | Mapping[str, PromptLike | Iterable[PromptLike]],
    ) -> Bank:
        """Describes the prompts; replaces those of an earlier call.

        Args:
            prompts: concept -> its prompt, or any iterable of prompts: each a `Prompt`, or an image
                as for `segment`, folders and globs included. Or, with names as for `ipseg segment
                --prompts`: a folder, a glob, a file, or an iterable of such. Or what was described
                before: the folder of an earlier run (or of its bank), or a bank that another model
                returned.

        Returns:
            The bank; in a notebook it is displayed as the prompts with what was taken for their
            objects.

        Raises:
            PromptError: a prompt cannot be used; names it. Or a bank was made with other settings.
            ConfigError: the method's settings do not fit its weights.
        """
        self.config.method.check(self.config.models)
        if isinstance(prompts, Bank):
            bank = self._checked(prompts)
        elif isinstance(prompts, str | PathLike) and exists(f"{prompts}/manifest.json"):
            # Run folders are read by the layer above, of which this one knows nothing else.
            bank = import_module("pipeline.prompts").open_bank(str(prompts), self.config)
        else:
            bank = self._describe(prompt_rows(prompts))
        self._steps = image_chain({"": self.config}, {"": bank})
        prepare(self._steps)
        self.bank = bank
        return bank

    def _describe(self, rows: Sequence[Row]) -> Bank:
        drawn = any(row.get("given_box") or row.get("given_points") for row in rows)
        chains = prompt_chains({"": self.config}, drawn=drawn)
        prepare(chains.steps)
        described = list(run_local(chains.steps, rows, self.config.runtime.batch_size))
        return PromptsInMemory(described, self.config.method.merge, settings=chains.settings)

    def _checked(self, bank: Bank) -> Bank:
        if isinstance(bank, PromptsInMemory) and bank.settings is not None:
            mine = [prompt_chains({"": self.config}, drawn=drawn) for drawn in (False, True)]
            if bank.settings not in [chains.settings for chains in mine]:
                raise PromptError(
                    f"this bank was made with other settings than profile "
                    f"'{self.config.profile}' has: give the prompts again"
                )
        return bank

    # A string is an iterable of strings to a type checker; the first signature wins.
    @overload
    def segment(  # type: ignore[overload-overlap]
        self, images: ImageLike, *, on_error: OnError = "raise"
    ) -> Segmentation: ...

    @overload
    def segment(
        self, images: Iterable[object], *, on_error: OnError = "raise"
    ) -> Iterator[Segmentation]: ...

    def segment(
        self, images: ImageLike | Iterable[object], *, on_error: OnError = "raise"
    ) -> Segmentation | Iterator[Segmentation]:
        """Finds every concept in one image, or in each of many, as they are asked for.

        Args:
            images: one image: path, URL, encoded bytes, Pillow image, or pixels: (H, W), (H, W, 3)
                RGB or (H, W, 4) with alpha, uint8 or floats from 0 to 1. Or many: a folder, a glob,
                or any iterable of all of these.
            on_error: what becomes of an image that cannot be used: "raise" an error, or "return" a
                result that has an `error` and no objects.

        Returns:
            The result; of many images one after the other in their order. They are taken in batches
            of `runtime.batch_size` as the results are asked for: a generator may go on for ever.

        Raises:
            PromptError: no prompts were given.
            ImageError: an image cannot be used; names it.
            ConfigError: `on_error` is neither.
        """
        if self.config.method.row_is == "sequence":
            raise ImageError("this method takes sequences: use segment_sequence")
        if on_error not in ("raise", "return"):
            raise ConfigError(f"on_error is 'raise' or 'return', not {on_error!r}")
        if not is_one_image(images):
            return self._run(image_rows(images), on_error)
        return next(self._run(image_rows(images), on_error))

    def segment_sequence(self, frames: str | Path | Sequence[str | Path]) -> Segmentation:
        """Finds every concept in the frames of a sequence.

        Args:
            frames: paths or URLs, in order; or that of a video file.

        Raises:
            PromptError: no prompts were given.
            ImageError: the method takes single images, or a frame cannot be used.
        """
        if self.config.method.row_is != "sequence":
            raise ImageError("this method takes single images: use segment")
        paths = [frames] if isinstance(frames, (str, Path)) else frames
        uris = [str(path) for path in paths]
        return next(self._run([{"key": uris[0], "uri": uris[0], "frame_uris": uris}], "raise"))

    def _run(self, rows: Iterable[Row], on_error: OnError) -> Iterator[Segmentation]:
        if self.bank is None:
            raise PromptError("give prompts first: set_prompts({'cup': 'cup.jpg'})")
        concepts = tuple(self.bank.categories)
        done = run_local(self._steps, rows, self.config.runtime.batch_size)
        return (_result(row, concepts, on_error) for row in done)


def load(profile: str = DEFAULT_PROFILE, overrides: Sequence[str] = ()) -> Model:
    """Loads a profile as `ipseg segment` does; `overrides` are "section.key=value", as its `--set`.

    Every instance of a concept is found; with "instances.mode=one" the whole map is one object.
    """
    return Model(load_config(profile, overrides, labelling=True))


def _result(row: Row, concepts: tuple[str, ...], on_error: OnError) -> Segmentation:
    key = str(row["key"])
    if is_failed(row):
        why = f"{row['error_message']} (in step {row['error_stage']})"
        if on_error == "raise":
            raise ImageError(f"image {key}: {why}")
        return Segmentation((), (), concepts, key, why)
    images = row["frames"] if "frames" in row else [row["image"]]
    return Segmentation(images, tuple(row["objects"]), concepts, key)

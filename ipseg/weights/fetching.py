"""Downloading weights from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from ipseg.errors import WeightsError
from ipseg.networks.models import Models
from ipseg.weights.catalogue import FILES, Need
from ipseg.weights.finding import Found, alternative, find


def fetch(need: Need, models: Models) -> Found:
    """Downloads the missing required files of weights on the hub.

    Args:
        need: its name is a hub id.
        models: files are put into ROOT/<hub id> of `root`; without one, into the hub cache.

    Raises:
        WeightsError: the hub cannot be reached, has no such weights, requires accepting terms, or
            does not have all files; or they cannot be stored.
    """
    wanted = FILES[need.source.layout]
    folder = None if models.root is None else Path(models.root).expanduser() / need.name
    _download(need, wanted, folder)
    found = find(need, models)
    older = [name for name in map(alternative, found.missing) if name is not None]
    if older:
        _download(need, older, folder)
        found = find(need, models)
    if not found.complete:
        raise WeightsError(
            f"{need.name} is not complete: {', '.join(found.missing)} could not be downloaded; "
            f"if the network works, these are not weights for {need.parts[0]}"
        )
    return found


def _download(need: Need, names: tuple[str, ...] | list[str], folder: Path | None) -> None:
    page = f"https://huggingface.co/{need.name}"
    try:
        snapshot_download(
            need.name,
            revision=need.source.revision,
            allow_patterns=list(names),
            local_dir=folder,
        )
    except GatedRepoError as error:
        raise WeightsError(
            f"{need.name} requires accepting terms: accept them at {page}, then `hf auth login`, "
            f"then fetch again"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(f"cannot fetch {need.name}: there is no model at {page}") from error
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"cannot fetch {need.name}: huggingface.co cannot be reached; fetch it on a machine "
            f"with network access, copy the folder to ROOT/{need.name}, and set models.root=ROOT"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(f"cannot fetch {need.name} from {page}: {first}") from error
    except OSError as error:
        raise WeightsError(f"cannot store {need.name}: {error.strerror or error}") from error

"""Getting weights from the Hugging Face hub."""

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
    """Downloads what is missing of weights on the hub, and nothing else that lies there.

    Args:
        need: with a hub id for a name.
        models: `root` is where to put it, at ROOT/<hub id>; without one it is the hub's cache.

    Raises:
        WeightsError: the hub cannot be reached, has no such weights, wants its terms accepted, or
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
            f"{need.name} is not complete: {', '.join(found.missing)} could not be had; "
            f"if there is a network, this is not the kind of weights that {need.parts[0]} takes"
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
            f"{need.name} is given out on terms: accept them at {page}, then `hf auth login`, then "
            f"fetch again"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(f"cannot fetch {need.name}: there is no such model at {page}") from error
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"cannot fetch {need.name}: no way to huggingface.co from here; fetch it on a machine "
            f"with a network, copy the folder to ROOT/{need.name}, and set models.root=ROOT"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(f"cannot fetch {need.name} from {page}: {first}") from error
    except OSError as error:
        raise WeightsError(f"cannot store {need.name}: {error.strerror or error}") from error

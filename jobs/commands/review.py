"""`ipseg review`: accept, reject and repair what a run found, on a page in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from ipseg.errors import ConfigError
from jobs.commands import options

_ORDERS = ("uncertain", "random", "highest", "lowest", "newest")

EPILOG = """
[bold]Examples[/bold]

    ipseg review masks/

The address that it prints has a token in it and works on this machine alone. Ctrl-C ends it.

A fair sample of one concept, to calibrate scores by; the name stands in every decision:

    ipseg review masks/ --concept cup --order random --who ann

Those of the validation side alone can be looked at; give the split as to `ipseg export`:

    ipseg review masks/ --split train=0.8,val=0.2

Decisions are files of their own in the run folder, masks/review/; the run's rows stay as they are.
Several people may review a run at once, on one page or each with a command of their own.
"""


def review(
    out: Annotated[str, typer.Argument(help="Run folder; a path or any fsspec URL.")],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="8765 or the next free one; 0 for any free one."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than loopback is open to a network.")
    ] = "127.0.0.1",
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides; the user of this machine.")
    ] = None,
    order: Annotated[str, typer.Option(help=", ".join(_ORDERS) + ".")] = "uncertain",
    concept: Annotated[str, typer.Option(help="Start with this concept.")] = "",
    split: options.Split = None,
    split_by: options.SplitBy = "key",
    split_column: options.SplitColumn = None,
    salt: options.Salt = "ipseg",
) -> None:
    """Serve a page on which people accept, reject, relabel and repair masks, from the keyboard."""
    if order not in _ORDERS:
        raise ConfigError(f"unknown order '{order}'; use one of {', '.join(_ORDERS)}")
    from jobs.review.run import serve

    splits = None
    if split is not None or split_column is not None:
        splits = options.splits_of(split, split_by, split_column, salt)
    serve(out, host=host, port=port, who=who, order=order, concept=concept, splits=splits)

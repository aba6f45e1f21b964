"""How much is logged: `-v` and `-q`, before a verb or behind it."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")]


def log_to_stderr() -> None:
    """Logs go to stderr, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("ipseg")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)


def set_level(*, verbose: bool, quiet: bool) -> None:
    """Changes what is logged, if either is asked for."""
    if verbose or quiet:
        logging.getLogger("ipseg").setLevel(logging.DEBUG if verbose else logging.WARNING)


def with_verbosity(verb: Callable[..., None]) -> Callable[..., None]:
    """The function of a command, with both options behind those that it has."""

    @functools.wraps(verb)
    def run(*, verbose: bool, quiet: bool, **given: Any) -> None:  # noqa: ANN401
        set_level(verbose=verbose, quiet=quiet)
        verb(**given)

    # What Typer makes the options of; evaluated here, since it knows the names of this module only.
    signature = inspect.signature(verb, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("verbose", Verbose), ("quiet", Quiet))
    ]
    parameters = [*signature.parameters.values(), *more]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run

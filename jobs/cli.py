"""The command `ipseg`. Data goes to stdout, logs and progress to stderr.

Exit codes: 0 done, 1 it could not be done, 2 the call itself was wrong, 3 more rows failed than may
or a result is partial, 130 interrupted, 143 terminated. After 3, 130 and 143 (and after any other
end) the same command started again goes on where it was.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from ipseg.errors import ConfigError, FailureBudgetError, IpsegError
from jobs.commands import (
    bench,
    data,
    demo,
    doctor,
    errors,
    evaluate,
    plan,
    prompts,
    report,
    segment,
    show,
    status,
    weights,
)

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

app = typer.Typer(
    name="ipseg",
    help="Give it one example image, get masks of that thing in every image.",
    epilog="Start with: ipseg demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _verbosity(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
) -> None:
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("ipseg")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)


app.command(epilog=segment.EPILOG)(segment.segment)
app.command(epilog=prompts.EPILOG)(prompts.prompts)
app.command(epilog=plan.EPILOG)(plan.plan)
app.command(epilog=status.EPILOG)(status.status)
app.command(epilog=errors.EPILOG)(errors.errors)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=show.EPILOG)(show.show)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=demo.EPILOG)(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.command(epilog=bench.EPILOG)(bench.bench)
app.command()(doctor.doctor)


class _Stopped(SystemExit):
    """A signal: unwinds the stack, so that what is done is written, leases go back, Ray ends."""


def main() -> None:
    """Entry point: runs a verb; turns errors a person can fix into one line and an exit code."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup, or a job in a script
            signal.signal(number, _stop)
    try:
        app(standalone_mode=True)
    except IpsegError as error:
        typer.secho(f"ipseg: {error}", fg="red", err=True)
        wrong_call = isinstance(error, ConfigError)
        sys.exit(3 if isinstance(error, FailureBudgetError) else 2 if wrong_call else 1)
    except OSError as error:  # a disk that is full, a store that does not answer any more
        logging.getLogger("ipseg").debug("input or output failed", exc_info=True)
        kept = "what is written is kept: fix this and start the same command again"
        typer.secho(f"ipseg: {error}; {kept}", fg="red", err=True)
        sys.exit(1)
    except _Stopped as stopped:
        code = int(str(stopped.code))
        word = _WORDS[signal.Signals(code - 128)]
        typer.secho(f"ipseg: {word}; the same command goes on where this one was", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # A thread may be in the middle of a batch, and Python would wait for it.
        os._exit(code)


def _stop(signum: int, frame: FrameType | None) -> None:
    for number in _WORDS:
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
    raise _Stopped(128 + signum)


if __name__ == "__main__":
    main()

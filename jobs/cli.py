"""The command `ipseg`. Data goes to stdout, logs and progress to stderr.

Exit codes: 0 done, 1 it could not be done (a file is missing, damaged or not as it has to be, a
disk is full), 2 the call itself was wrong (an option, a setting, a name), 3 more rows failed than
may or a result is partial, 130 interrupted, 143 terminated. After 3, 130 and 143 (and after any
other end) the same command started again goes on where it was.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

import ipseg
from ipseg.errors import ConfigError, FailureBudgetError, IpsegError
from jobs.commands import (
    bench,
    calibrate,
    count,
    data,
    demo,
    doctor,
    errors,
    evaluate,
    export,
    plan,
    prompts,
    report,
    rescore,
    review,
    segment,
    settings,
    show,
    status,
    train,
    weights,
)
from jobs.signals import stopped_in_order
from jobs.verbosity import Quiet, Verbose, log_to_stderr, set_level, with_verbosity

_EXTRAS = {
    **dict.fromkeys(("torch", "torchvision", "diffusers", "transformers"), "models"),
    **dict.fromkeys(("segment_anything", "safetensors"), "models"),
    **dict.fromkeys(("starlette", "uvicorn"), "review"),
    "tensorboardX": "train",
}

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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ipseg {ipseg.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    log_to_stderr()
    set_level(verbose=verbose, quiet=quiet)


app.command(epilog=segment.EPILOG)(with_verbosity(segment.segment))
app.command(epilog=count.EPILOG)(with_verbosity(count.count))
app.command(epilog=prompts.EPILOG)(with_verbosity(prompts.prompts))
app.command(epilog=plan.EPILOG)(with_verbosity(plan.plan))
app.command(epilog=status.EPILOG)(with_verbosity(status.status))
app.command(epilog=errors.EPILOG)(with_verbosity(errors.errors))
app.command(epilog=evaluate.EPILOG)(with_verbosity(evaluate.evaluate))
app.command(epilog=show.EPILOG)(with_verbosity(show.show))
app.command(epilog=report.EPILOG)(with_verbosity(report.report))
app.command(epilog=review.EPILOG)(with_verbosity(review.review))
app.command(epilog=rescore.EPILOG)(with_verbosity(rescore.rescore))
app.command(epilog=export.EPILOG)(with_verbosity(export.export))
app.command(epilog=calibrate.EPILOG)(with_verbosity(calibrate.calibrate))
app.command(epilog=train.EPILOG)(with_verbosity(train.train))
app.command(epilog=settings.EPILOG)(with_verbosity(settings.settings))
app.command(epilog=demo.EPILOG)(with_verbosity(demo.demo))
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.command(epilog=bench.EPILOG)(with_verbosity(bench.bench))
app.command()(with_verbosity(doctor.doctor))


def main() -> None:
    """Entry point: runs a verb; turns errors a person can fix into one line and an exit code."""
    try:
        with stopped_in_order():
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
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        needs = f"this needs the package {package}: pip install 'ipseg[{_EXTRAS[package]}]'"
        typer.secho(f"ipseg: {needs}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

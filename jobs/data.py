"""`ipseg data`: which benchmarks there are, and what some of them need before they can be run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from ipseg.benchmarks.benchmark import Benchmark, PreparedBenchmark
from ipseg.benchmarks.open import benchmark_class
from ipseg.components import BENCHMARKS, INSTANCE_BENCHMARKS, load_class
from ipseg.errors import ConfigError, SourceError
from jobs.evaluation.wording import dropped_lines
from jobs.output import print_json
from jobs.reading import Reading

_ROOT = "."  # nothing is read there


def list_benchmarks(*, as_json: bool) -> None:
    """Prints every benchmark: layout, folds, rules by which episodes are drawn, protocol."""
    listed = [*map(_about, BENCHMARKS), *map(_about_instances, INSTANCE_BENCHMARKS)]
    if as_json:
        print_json(listed, indent=1)
        return
    console = Console(highlight=False)
    for each in listed:
        console.print(f"[bold]{each['name']}[/bold]  {escape(each['title'])}")
        for line in each["layout"].splitlines():
            console.print(f"    {escape(line)}", soft_wrap=True)
        facts = {
            "folds": ", ".join(each["folds"]) or "as the data has them",
            "measured": _measured(each),
            **{f"rule {rule}": meaning for rule, meaning in each["rules"].items() if rule},
        }
        if each["prepare"]:
            facts["prepare"] = f"ipseg data prepare {each['name']} --data-root DIR"
        for name, fact in facts.items():
            console.print(f"  {escape(name)}: {escape(fact)}", soft_wrap=True)
        console.print()


def _measured(about: dict[str, Any]) -> str:
    protocol = about["protocol"]
    if protocol is None:
        return f"{' and '.join(about['formulas'])}, examples with their masks"
    size = "the original size" if protocol["side"] is None else f"{protocol['side']} px squared"
    masks = "with its mask" if protocol["given_mask"] else "without its mask"
    return f"formula {protocol['formula']} at {size}, examples {masks}"


def prepare_benchmark(
    name: str, root: str, out: str | None, *, strict: bool, as_json: bool
) -> None:
    """Builds what a benchmark's loader reads from the official annotation files.

    Args:
        name: of the benchmark.
        root: data root, path or URL.
        out: folder to write to instead, for a data root that cannot be written to.
        strict: refuse records of annotations that cannot be used.
        as_json: print the files as JSON.

    Raises:
        ConfigError: there is no such benchmark, or nothing has to be prepared for it.
        SourceError: the annotations are missing or malformed.
        OutputError: it cannot be written.
    """
    kind = benchmark_class(name)
    title = kind.title
    with Reading(f"preparing {title}") as reading:
        benchmark = kind(root, strict=strict, progress=reading)
        if not isinstance(benchmark, PreparedBenchmark):
            prepared = [other for other in BENCHMARKS if _is_prepared(other)]
            raise ConfigError(
                f"nothing has to be prepared for {name}: `ipseg evaluate {name} --data-root {root}`"
                f" reads it as it is; what can be prepared: {', '.join(prepared)}"
            )
        written = benchmark.prepare(out)
    if as_json:
        dropped = benchmark.dropped.listed
        print_json({"benchmark": name, "written": written, "dropped": dropped}, indent=1)
        return
    console = Console(highlight=False)
    if not written:
        console.print(f"{title} was prepared before; nothing was written", soft_wrap=True)
    elif len(folders := sorted({file.rpartition("/")[0] for file in written})) < len(written):
        console.print(f"wrote {len(written):,} files:")
        for folder in folders:
            count = sum(file.rpartition("/")[0] == folder for file in written)
            console.print(f"  {escape(folder)}/  {count:,}", soft_wrap=True)
    else:
        for file in written:
            console.print(f"wrote {escape(file)}", soft_wrap=True)
    for line in dropped_lines(benchmark.dropped.listed):
        console.print(escape(line), soft_wrap=True)


def _about(name: str) -> dict[str, Any]:
    cls = benchmark_class(name)
    benchmark = cls(_ROOT)
    protocol = benchmark.protocol
    return {
        "name": name,
        "title": cls.title,
        "layout": cls.layout,
        "folds": _fixed_folds(benchmark),
        "rules": {"": "the reference", **cls.rules},
        "protocol": vars(protocol),
        "formulas": list(cls.formulas),
        "prepare": _is_prepared(name),
    }


def _about_instances(name: str) -> dict[str, Any]:
    cls: Any = load_class(INSTANCE_BENCHMARKS[name])
    return {
        "name": name,
        "title": cls.title,
        "layout": cls.layout,
        "folds": list(cls.folds),
        "rules": {},
        "protocol": None,
        "formulas": list(cls.formulas),
        "prepare": False,
    }


def _is_prepared(name: str) -> bool:
    return issubclass(benchmark_class(name), PreparedBenchmark)


def _fixed_folds(benchmark: Benchmark) -> list[str]:
    """Its folds, none where they are folders of the data, or where there is only one."""
    try:
        return [fold for fold in benchmark.folds if fold]
    except SourceError:
        return []

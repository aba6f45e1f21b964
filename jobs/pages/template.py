"""HTML templates: those of a page beside its code, the shared ones in this folder.

`layout.html` is the frame of a page, `parts.html` has the macros, `page.css` the style. Whatever is
filled in is escaped; the policy in the head of the layout forbids scripts and anything remote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from ipseg.storage.files import write_whole
from jobs.pages.readable import readable_bytes, readable_count, readable_duration, readable_time

REPORT = "report.html"  # name of the page in a run folder


def template(
    package: str, name: str, filters: Mapping[str, Callable[..., Any]] | None = None
) -> jinja2.Template:
    """A template of a package, which may extend, include and import the shared ones.

    Args:
        package: that the file lies in.
        name: of the file.
        filters: beside those for bytes, durations, counts and times.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(each, ".") for each in (package, "jobs.pages")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "bytes": readable_bytes,
            "duration": readable_duration,
            "count": readable_count,
            "time": readable_time,
            **(filters or {}),
        }
    )
    return environment.get_template(name)


def write_rendered(out: str, page: jinja2.Template, **context: Any) -> str:  # noqa: ANN401
    """Fills a template in and writes it into a run folder; returns the address of the page."""
    address = f"{out}/{REPORT}"
    write_whole(address, page.render(context).encode("utf-8", "replace"))
    return address

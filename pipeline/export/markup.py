"""Names from data in XML, HTML and Markdown, in which they cannot be markup."""

from __future__ import annotations

import html
import re

# Characters that XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Text that XML can hold; the writer of XML escapes what is markup."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def markdown(text: str) -> str:
    """Text within Markdown, on one line, also in a cell of a table."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", html.escape(line, quote=False))

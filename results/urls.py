"""URLs of storages as they may be shown."""

from __future__ import annotations

import re


def without_password(url: str) -> str:
    """Before the host, and in the query, where libpq takes one too."""
    hidden = re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*password=)[^&]*", r"\1***", hidden)

"""`python -m search` is `attnas`: both begin here."""

from __future__ import annotations

import gc


def main() -> None:
    """Nothing that is imported is garbage, and to look for some takes a twentieth of a second."""
    gc.disable()  # `search.cli` turns it on again for what goes on for long
    from search.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()

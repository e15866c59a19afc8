"""The one kind of error a user can cause and mend."""

from typing import NoReturn


class UserError(Exception):
    """Bad input: says what was given, what is allowed and what to do next.

    The command line prints the message without a traceback and exits with code 2. Everything that is our own fault
    stays an ordinary exception or an assertion.
    """


class DesignError(UserError, ValueError):
    """A design that does not exist, or does not fit the network it is put into."""


def refuse(axis: str, given: object, allowed: str) -> NoReturn:
    raise DesignError(f"{axis}: {given!r} is not possible; allowed: {allowed}.")

"""The one kind of error a user can cause and mend."""


class UserError(Exception):
    """Bad input: says what was given, what is allowed and what to do next.

    The command line prints the message without a traceback and exits with code 2. Everything that is our own fault
    stays an ordinary exception or an assertion.
    """

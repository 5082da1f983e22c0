"""The one exception for what a user gave: params, data sets, weights."""


class InputError(ValueError):
    """Something given from outside is wrong.

    The message names the file, field or value and says what to do; stage scripts and the command line print
    it without a traceback and exit with 1.
    """

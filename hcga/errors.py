"""The one exception for what a user gave: params, data sets, weights."""

REMEDY = "`dvc repro` makes it, `dvc checkout --force` takes it from DVC's cache"  # of what stages have written


class InputError(ValueError):
    """Something given from outside is wrong.

    The message names the file, field or value and says what to do; stage scripts and the command line print
    it without a traceback and exit with 1.
    """

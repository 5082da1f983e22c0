"""The one exception for what a user gave: params, data sets, weights."""

REMEDY = "`dvc repro` makes it, `dvc checkout --force` takes it from DVC's cache"  # of what stages have written
OTHER_VERSION = (
    "another version of this program made it. `dvc repro` makes it anew; a revision is looked at with its own version: "
    "`git worktree add` it and run `hcga view` there"
)


class InputError(ValueError):
    """Something given from outside is wrong.

    The message names the file, field or value and says what to do; stage scripts and the command line print
    it without a traceback and exit with 1.
    """

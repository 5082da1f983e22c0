"""Runs of the pipeline: where they stand, what they record, how they are stopped and what is still to do."""

"""Commands of the `hcga` program, for people."""

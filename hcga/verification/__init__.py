"""Whether stages write again what they wrote: `hcga verify`."""

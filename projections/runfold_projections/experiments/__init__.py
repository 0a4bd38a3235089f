"""The ``experiments`` projection: experiments, and what their runs add up to."""

"""The frameworks that people train with, one thin leaf for each.

A leaf imports its framework when it is used, so all of them can be imported without any. What they
share: the length of the run comes from the framework's own arithmetic, the clock counts the updates
that are made, and what is logged is what an update has used.
"""

"""Bad study files, options, places, data and models, and what must be said about each.

`says` is the error after `error: `, with … for what does not matter.
"""

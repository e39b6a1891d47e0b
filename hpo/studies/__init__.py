"""Studies in a storage: registered, found, opened, compared with their data and model, and what they remember."""

"""A study, or several, as one HTML page for people: what came out, why, and where the time went."""

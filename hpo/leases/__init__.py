"""Who may work on which trial: workers that are alive, what they hold, and the budget that is left."""

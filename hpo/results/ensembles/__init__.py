"""What finished trials give together: members chosen, probabilities combined, and an honest score of it."""

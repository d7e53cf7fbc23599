"""What all attacks share, free of any model: the ball, noise, losses, the answer to a query, and what an attack is."""

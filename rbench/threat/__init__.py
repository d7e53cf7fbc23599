"""What every attack stands on, and no model: the ball, noise, losses, what an attack is told, and what an attack is."""

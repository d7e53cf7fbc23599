"""The parts of the leaderboard page: rows, cells, pictures and drawings as values, and the templates that show them."""

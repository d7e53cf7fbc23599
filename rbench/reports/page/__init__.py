"""The parts of the leaderboard page: what a row shows, its evidence, its pictures, and the template that draws them."""

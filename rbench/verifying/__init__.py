"""A run folder doubted: its files against each other, its examples judged again, its survivors attacked again."""

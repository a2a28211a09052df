"""Paging people: who stands behind a level, which of their channels is next, when all of it begins again."""

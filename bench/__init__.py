"""The benchmark: measures its own limits in the same run and prints ratios."""

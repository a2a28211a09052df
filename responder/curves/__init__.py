"""Curves: series of numbers over time, what they say in words, and how they are drawn."""

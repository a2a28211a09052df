"""What the ``postgres`` probe can ask: the named queries, one idea a file, and SQL of the rule files' own."""

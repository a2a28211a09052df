"""Looking after ourselves: what the daemon does at intervals to show, and to see, that it works."""

"""What holds pages back, as this replica knows it: maintenance windows, what services stand on, the night."""

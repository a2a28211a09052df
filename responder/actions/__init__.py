"""What may be done to a target, one file a type, and the gates before it is done."""

"""responder: an alert responder."""

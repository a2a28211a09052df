"""What people do from a chat: the same over HTTP and over a socket; who may, what is done, and what they are told."""

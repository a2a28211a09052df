"""The stages of ``advance``, each a file with one function ``take(draft)``."""

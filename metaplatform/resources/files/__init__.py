"""Files of the platform's own: written whole or not at all."""

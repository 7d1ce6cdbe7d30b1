"""JSON Schema -> rules over bytes, exactly or refused."""

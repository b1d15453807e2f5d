"""Forward-only migrations of one family of schemas."""

"""Connectors: each binds a wire to a tenant. Inbound becomes signals; directives become calls to the outside."""

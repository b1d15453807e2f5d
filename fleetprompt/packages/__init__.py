"""Packages: what can be installed in a tenant, and the life of an installation."""

"""Mattermost bound to a tenant: its settings and its words."""

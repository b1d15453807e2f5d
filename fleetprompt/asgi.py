"""The web process as composition roots and ASGI servers find it."""

from fleetprompt.surfaces.web import create_app, serve

__all__ = ["create_app", "serve"]

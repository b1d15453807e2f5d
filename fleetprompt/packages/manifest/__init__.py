"""Manifests: what a package is, brings, needs and asks for. A package is data; no code ships in it."""

from fleetprompt.packages.manifest.faults import Fault, ManifestRefused
from fleetprompt.packages.manifest.model import Manifest

__all__ = ["Fault", "Manifest", "ManifestRefused"]

"""Pages for people: rendered here, without script. Each page of a tenant begins with `person(request)`."""

from fleetprompt.surfaces.pages.forms import Fields, form
from fleetprompt.surfaces.pages.frame import render
from fleetprompt.surfaces.pages.front import Front, front_of
from fleetprompt.surfaces.pages.people import Person, SeeOther, person

__all__ = ["Fields", "Front", "Person", "SeeOther", "form", "front_of", "person", "render"]

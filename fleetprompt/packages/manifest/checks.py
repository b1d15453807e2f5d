"""What no single field can tell: whether the parts of a manifest fit together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.manifest.model import Manifest
from fleetprompt.packages.manifest.reading import Path_
from fleetprompt.runtime.workflows.definition import Step, read

REFERRING: Final = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "$id", "$schema", "$anchor", "$dynamicAnchor"}
)
REPEATED_GROUP: Final = re.compile(r"\)[*+{]")
UNBOUNDED: Final = re.compile(r"(?<!\\)[*+]|\{\d*,\d*\}")
MAX_UNBOUNDED: Final = 2
ADMINISTERING: Final = ("package.", "skill.")

Found = tuple[Path_, str, str]
"""Where, what is wrong, what would do."""


def find_conflicts(manifest: Manifest) -> Iterator[Found]:
    """Every one, in no order."""
    yield from _repeated(manifest)
    yield from _bindings(manifest)
    yield from _references(manifest)
    yield from _migrations(manifest)
    yield from _workflows(manifest)
    yield from check_schema(manifest)


def _repeated(manifest: Manifest) -> Iterator[Found]:
    provides = manifest.provides
    lists: tuple[tuple[Path_, str, Iterable[str]], ...] = (
        (("provides", "skills"), "name", (one.name for one in provides.skills)),
        (("provides", "agents"), "name", (one.name for one in provides.agents)),
        (("provides", "workflows"), "name", (one.name for one in provides.workflows)),
        (("provides", "connectors"), "connector", (one.connector for one in provides.connectors)),
        (("requires",), "package", (one.package for one in manifest.requires)),
        (("permissions",), "scope", (f"{one.scope} ({one.access})" for one in manifest.permissions)),
        (("credentials",), "key", (one.key for one in manifest.credentials)),
    )
    for path, field, names in lists:
        seen = set[str]()
        for index, name in enumerate(names):
            if name in seen:
                yield (*path, index, field), f"{name} is here twice.", "Name each once."
            seen.add(name)


def _bindings(manifest: Manifest) -> Iterator[Found]:
    bound = [one.connector for one in manifest.provides.connectors]
    if (manifest.kind == "connector") != (manifest.binds is not None):
        yield ("binds",), "A connector, and nothing else, binds a connector of the platform.", ""
    if bound != ([manifest.binds] if manifest.binds else []):
        yield (
            ("provides", "connectors"),
            "What is provided is not what is bound.",
            "List the connector that `binds` names.",
        )
    if manifest.credentials and manifest.binds is None:
        yield ("credentials",), "Only a connector keeps credentials.", ""


def _references(manifest: Manifest) -> Iterator[Found]:
    skills = {skill.name for skill in manifest.provides.skills}
    for number, agent in enumerate(manifest.provides.agents):
        for index, name in enumerate(agent.skills):
            if name not in skills:
                place: Path_ = ("provides", "agents", number, "skills", index)
                yield place, f"There is no skill {name!r} here.", f"There is: {', '.join(sorted(skills))}."
        yield from _named(manifest, agent.named_by, ("provides", "agents", number, "named_by"))
    for index, requirement in enumerate(manifest.requires):
        if requirement.package == manifest.slug:
            yield ("requires", index, "package"), "A package cannot require itself.", ""
    emitted = {*manifest.signals.emitted}
    for index, event in enumerate(manifest.value):
        if event.signal not in emitted:
            place = ("value", index, "signal")
            yield place, f"{event.signal} is not among the emitted signals.", "Add it to signals.emitted."


def _named(manifest: Manifest, setting: str | None, place: Path_) -> Iterator[Found]:
    """A name that the settings give is a text with a default."""
    known = dict(manifest.config.settings.get("properties") or {})
    if setting is not None and dict(known.get(setting) or {}).get("type") != "string":
        texts = [name for name, one in known.items() if isinstance(one, dict) and one.get("type") == "string"]
        yield place, f"There is no setting {setting!r} that is a text.", f"There is: {', '.join(texts)}."


def _migrations(manifest: Manifest) -> Iterator[Found]:
    wanted = list(range(2, manifest.config.version + 1))
    if [one.to for one in manifest.config.migrations] != wanted:
        ways = ", ".join(map(str, wanted)) or "none"
        yield (
            ("config", "migrations"),
            f"The migrations must lead to: {ways}.",
            "One for each version, in order.",
        )


def _workflows(manifest: Manifest) -> Iterator[Found]:
    """As the runtime reads them; whether their signals and directives exist is seen when they are added."""
    for index, workflow in enumerate(manifest.provides.workflows):
        try:
            found = read(workflow.model_dump(mode="json", exclude={"title"}, exclude_defaults=True))
        except InvalidInput as refused:
            yield ("provides", "workflows", index), f"This is no workflow: {refused.what}", ""
            continue
        for number, step in enumerate(found.steps):
            place: Path_ = ("provides", "workflows", index, "steps", number)
            yield from _reach(manifest, step, place)


def _reach(manifest: Manifest, step: Step, place: Path_) -> Iterator[Found]:
    """A step uses what its package brings or asks for, and nothing of anybody else's."""
    agents = {agent.name for agent in manifest.provides.agents}
    if step.agent is not None and step.agent not in agents:
        listed = ", ".join(sorted(agents)) or "none"
        yield (*place, "agent"), f"There is no agent {step.agent!r} here.", f"There is: {listed}."
    if step.directive is not None and step.directive not in manifest.directives:
        problem = f"{step.directive} is not among the directives that it asks for."
        yield (*place, "directive"), problem, "Add it to directives."
    if step.directive is not None and step.directive.startswith(ADMINISTERING):
        yield (*place, "directive"), "A package's workflow administers nothing.", "Leave that to people."
    package = (step.installation or "").partition(":")[0]
    if package and package not in {manifest.slug, *(need.package for need in manifest.requires)}:
        problem = f"It uses the installation of {package}, which it does not require."
        yield (*place, "installation"), problem, "Add the package to requires."


def check_schema(manifest: Manifest) -> Iterator[Found]:
    """The settings' schema: closed, self-contained, with defaults that it allows and no secret."""
    schema, path = manifest.config.settings, ("config", "schema")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield (*path, *error.absolute_path), f"This is no JSON Schema: {error.message[:200]}.", ""
        return
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        yield path, "Settings are a closed object.", "Write type: object and additionalProperties: false."
    unsafe = list(_unsafe(schema, path))
    yield from unsafe
    if unsafe:
        return
    for name, setting in dict(schema.get("properties") or {}).items():
        yield from _setting(manifest, name, setting, (*path, "properties", name))


def _setting(manifest: Manifest, name: str, setting: Any, path: Path_) -> Iterator[Found]:
    if name in {credential.key for credential in manifest.credentials}:
        yield path, f"{name} is a credential, so it is no setting.", "Remove it here."
    if not isinstance(setting, dict) or not setting.get("description"):
        yield path, "A setting says what it is for.", "Add a description."
        return
    if "default" in setting:
        for error in Draft202012Validator(setting).iter_errors(setting["default"]):
            yield (*path, "default"), f"The default is not allowed: {error.message[:120]}.", ""
    elif name not in manifest.config.settings.get("required", ()):
        yield (
            path,
            "A setting that is not required has a default.",
            "Add `default`, or list it in `required`.",
        )


def _unsafe(value: Any, path: Path_) -> Iterator[Found]:
    """What could take for ever, or lead elsewhere, when a value is compared with it."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _unsafe(item, (*path, index))
    for key, item in value.items() if isinstance(value, dict) else ():
        patterns = [item] if key == "pattern" else item if key == "patternProperties" else ()
        if key in REFERRING:
            yield (
                (*path, key),
                "A schema refers to nothing outside itself, and to nothing in it.",
                "Write it out.",
            )
        elif any(isinstance(one, str) and _is_slow(one) for one in patterns):
            problem = f"A pattern has at most {MAX_UNBOUNDED} of *, + and {{n,}}, and repeats no group."
            yield (*path, key), problem, "Make it simpler, or use `enum` or `maxLength`."
        else:
            yield from _unsafe(item, (*path, key))


def _is_slow(pattern: str) -> bool:
    """Whether matching may take time with more than the square of a text's length."""
    return REPEATED_GROUP.search(pattern) is not None or len(UNBOUNDED.findall(pattern)) > MAX_UNBOUNDED

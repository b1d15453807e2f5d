"""A chain of migrations, squashed: what is merged, what is dropped, and what has to stay where it stands."""

from __future__ import annotations

import pytest

from fleetprompt.database.squash import squashed

PEOPLE = "CREATE TABLE people (\n    id UUID NOT NULL,\n    name TEXT NOT NULL,\n    PRIMARY KEY (id)\n)"


def chain(*statements: str) -> list[str]:
    """What is left of a table of people and these statements, each in one line."""
    left = squashed(";\n".join([PEOPLE, *statements]) + ";")
    return [" ".join(statement.split()) for statement in left.rstrip().removesuffix(";").split(";\n")]


def table(columns: str, settings: str = "") -> str:
    """The table of people with these columns at its end."""
    return (
        f"CREATE TABLE people ( id UUID NOT NULL, name TEXT NOT NULL{columns}, PRIMARY KEY (id) ){settings}"
    )


@pytest.mark.parametrize(
    ("statement", "made"),
    [
        ("ALTER TABLE people ADD COLUMN age BIGINT", table(", age BIGINT")),
        ("ALTER TABLE people ADD COLUMN IF NOT EXISTS age BIGINT", table(", age BIGINT")),
        ("ALTER TABLE people ADD COLUMN IF NOT EXISTS name BIGINT", table("")),
        (
            "ALTER TABLE people ADD COLUMN tags TEXT[] DEFAULT '{a,b}' NOT NULL,\n ADD COLUMN at timestamptz DEFAULT now()",
            table(", tags TEXT[] DEFAULT '{a,b}' NOT NULL, at timestamptz DEFAULT now()"),
        ),
        (
            "ALTER TABLE people SET (fillfactor = 50, autovacuum_enabled = off); ALTER TABLE people SET (fillfactor = 60)",
            table("", " WITH (fillfactor = 60, autovacuum_enabled = off)"),
        ),
        (
            "ALTER TABLE people ALTER COLUMN name SET STORAGE EXTERNAL",
            table("").replace("TEXT", "TEXT STORAGE EXTERNAL"),
        ),
        ("UPDATE people SET name = 'a;b' WHERE name = 'c'", table("")),
        ("-- a word; or two\n/* ; */ ;", table("")),
    ],
)
def test_what_is_understood_is_merged_or_dropped(statement: str, made: str) -> None:
    assert chain(statement) == [made]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE people ADD COLUMN boss UUID REFERENCES people (id)",
        "ALTER TABLE people ADD COLUMN score BIGINT DEFAULT 1 + 1",
        "ALTER TABLE people ADD COLUMN code TEXT UNIQUE",
        "ALTER TABLE people ADD COLUMN name TEXT",
        "ALTER TABLE people ADD CONSTRAINT named CHECK (name <> '')",
        "ALTER TABLE people DROP COLUMN name",
        "ALTER TABLE people RENAME COLUMN name TO title",
        "ALTER TABLE people ALTER COLUMN id SET STORAGE PLAIN",
        "ALTER TABLE people ALTER COLUMN nobody SET STORAGE PLAIN",
        "ALTER TABLE others ADD COLUMN age BIGINT",
        "alter table people add column age bigint",
        "CREATE INDEX others_name ON others (name)",
        "CREATE TABLE others (id UUID) PARTITION BY HASH (id)",
        "CREATE TABLE others (id UUID) WITH (fillfactor = 50)",
        "CREATE TABLE others AS SELECT name FROM people",
        "CREATE TABLE others (LIKE people INCLUDING ALL)",
        "CREATE TABLE others (age BIGINT, LIKE people)",
        "INSERT INTO people VALUES (gen_random_uuid(), 'root')",
        "DO $$ BEGIN PERFORM 1; END $$",
        "DROP TABLE people",
        "SELECT fill('people')",
    ],
)
def test_whatever_else_is_carried_out_where_it_stands_and_so_is_what_follows_it(statement: str) -> None:
    later = [
        "ALTER TABLE people ADD COLUMN later BIGINT",
        "UPDATE people SET later = 1",
        "CREATE INDEX people_later ON people (later)",
    ]
    left = chain("ALTER TABLE people ADD COLUMN early BIGINT", statement, *later)
    assert left == [table(", early BIGINT"), statement, *later]


def test_what_could_be_merged_of_a_change_is_and_its_rest_is_carried_out() -> None:
    change = "ALTER TABLE people ADD COLUMN a BIGINT, DROP COLUMN name, ADD COLUMN b BIGINT"
    rest = "ALTER TABLE people DROP COLUMN name, ADD COLUMN b BIGINT"
    assert chain(change) == [table(", a BIGINT"), rest]


def test_an_index_follows_its_table_and_triggers_keep_their_place() -> None:
    guard = "CREATE TRIGGER guard BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION guard()"
    others = "CREATE TABLE others ( id UUID )"
    body = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN NEW; END $body$"
    index = "CREATE UNIQUE INDEX people_name ON people (lower(name)) WHERE name <> ''"
    left = squashed("; ".join([PEOPLE, others, body, guard, index]))
    flat = " ".join(left.split())
    assert flat == "; ".join([table(""), index, others, body, guard]) + ";"


def test_of_all_revisions_the_last_is_written() -> None:
    assert chain(
        "INSERT INTO alembic_version (version_num) VALUES ('one') RETURNING alembic_version.version_num",
        "UPDATE alembic_version SET version_num='two' WHERE alembic_version.version_num = 'one'",
    ) == [table(""), "INSERT INTO alembic_version (version_num) VALUES ('two')"]

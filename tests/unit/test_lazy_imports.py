"""A service that has not called a model yet has not paid for a model's libraries."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import base64, sys
from pydantic import SecretStr
import fleetprompt.asgi, fleetprompt.listener, fleetprompt.worker, fleetprompt.cli
from fleetprompt.composition import House
from fleetprompt.database.engine import Database
from fleetprompt.settings import Settings
from fleetprompt.tenancy import Tenancy

settings = Settings(
    database_url=SecretStr("postgresql://nobody@localhost/nothing"),
    master_key=SecretStr(base64.b64encode(bytes(32)).decode()),
    model="openai:gpt-5", model_api_key=SecretStr("key"),
)
database = Database(settings.database_url.get_secret_value())
House(settings, database, Tenancy(database), None).services
heavy = ("pydantic_ai", "openai", "anthropic", "genai_prices")
print(sorted({name.split(".")[0] for name in sys.modules} & set(heavy)))
"""


def test_the_whole_service_stands_without_a_model_library() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"

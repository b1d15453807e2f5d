"""What a person sets when installing `mattermost`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from adapters.errors import Misconfigured
from adapters.mattermost.settings import ServerAddress


def _words(value: Any) -> Any:
    """`a, b` from a command line is ["a", "b"]."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    """`support=Helper, ops=Watch` from a command line is {"support": "Helper", "ops": "Watch"}."""
    if not isinstance(value, str):
        return value
    pairs = [word.partition("=") for word in _words(value)]
    return {name.strip(): agent.strip() for name, _, agent in pairs}


class MattermostConfig(BaseModel):
    """One bot account on one Mattermost server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server_url: str = Field(description="The server's address, as a browser shows it.")
    team: str = Field(default="", description="The team's name as in its address; empty = all of the bot's.")
    agent: str = Field(default="", description="The agent that answers; empty = the only one there is.")
    channel_agents: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(
        default_factory=dict, description="Another agent for some channels: support=Helper,ops=Watch."
    )
    follow_threads: bool = Field(
        default=False, description="Answer in a thread that the agent takes part in, also without a mention."
    )
    allowed_bots: Annotated[list[str], BeforeValidator(_words)] = Field(
        default_factory=list,
        description="Bots that may wake an agent: account names or ids, separated by commas.",
    )
    max_automated_turns: int = Field(
        default=3, ge=0, le=100, description="Answers to bots in one thread before a person has to speak."
    )
    max_posts_per_answer: int = Field(
        default=8, ge=1, le=50, description="A longer answer is cut, and says so."
    )
    posts_per_second: float = Field(
        default=10.0, gt=0, le=1000, description="Our own limit of posts a second."
    )
    post_burst: int = Field(default=20, ge=1, le=1000, description="Posts that may go out at once.")
    allow_user_account: bool = Field(default=False, description="Permit a person's token instead of a bot's.")
    buttons: bool = Field(
        default=False, description="Offer buttons; the server must be allowed to call FLEETPROMPT_PUBLIC_URL."
    )
    ca_file: str = Field(default="", description="PEM file of a private certificate authority.")

    @field_validator("server_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            ServerAddress.parse(value)
        except Misconfigured as error:
            raise ValueError(f"{error.detail}. {error.advice}") from error
        return value.strip()

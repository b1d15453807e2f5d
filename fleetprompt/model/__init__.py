"""Tables, states and legal moves; one file a primitive. `public` holds the registry, `org_<slug>` a tenant's data."""

from fleetprompt.model.agent import Agent
from fleetprompt.model.base import JsonObject, PublicBase, TenantBase
from fleetprompt.model.conversation import Conversation, Message
from fleetprompt.model.directive import Directive, Effect
from fleetprompt.model.execution import Execution, ExecutionStep, ModelCall, ToolCallRecord
from fleetprompt.model.grant import Grant
from fleetprompt.model.installation import Credential, Installation, InstallationCursor, InstallationHealth
from fleetprompt.model.job import Job, Schedule, Worker
from fleetprompt.model.mail import MailAnswer, MailChunk, MailName, MailParticipant, SuppressedAddress
from fleetprompt.model.master_key import ReplacedMasterKey
from fleetprompt.model.organization import Connection, Membership, Organization, User
from fleetprompt.model.package import Package, PackageVersion, Skill
from fleetprompt.model.people import ApiKey, Attempts, Identity, OneTimeCode, WebSession
from fleetprompt.model.plan import Plan
from fleetprompt.model.secret_link import SecretLink
from fleetprompt.model.signal import Signal, SignalRaw
from fleetprompt.model.workflow import Workflow, WorkflowRun, WorkflowStep, WorkflowVersion

__all__ = [
    "Agent",
    "ApiKey",
    "Attempts",
    "Connection",
    "Conversation",
    "Credential",
    "Directive",
    "Effect",
    "Execution",
    "ExecutionStep",
    "Grant",
    "Identity",
    "Installation",
    "InstallationCursor",
    "InstallationHealth",
    "Job",
    "JsonObject",
    "MailAnswer",
    "MailChunk",
    "MailName",
    "MailParticipant",
    "Membership",
    "Message",
    "ModelCall",
    "OneTimeCode",
    "Organization",
    "Package",
    "PackageVersion",
    "Plan",
    "PublicBase",
    "ReplacedMasterKey",
    "Schedule",
    "SecretLink",
    "Signal",
    "SignalRaw",
    "Skill",
    "SuppressedAddress",
    "TenantBase",
    "ToolCallRecord",
    "User",
    "WebSession",
    "Worker",
    "Workflow",
    "WorkflowRun",
    "WorkflowStep",
    "WorkflowVersion",
]

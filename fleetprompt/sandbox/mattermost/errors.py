"""Refusals as the real server words them: id, message and status (recorded, or from the server's i18n file)."""

from __future__ import annotations

from typing import Any, Final

# id -> (status, message)
_REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "api.context.session_expired.app_error": (401, "Invalid or expired session, please login again."),
    "api.context.permissions.app_error": (403, "You do not have the appropriate permissions."),
    "api.context.404.app_error": (404, "Sorry, we could not find the page."),
    "api.context.invalid_url_param.app_error": (400, "Invalid or missing {name} parameter in request URL."),
    "api.context.invalid_body_param.app_error": (400, "Invalid or missing {name} in request body."),
    "api.user.login.invalid_credentials_email_username": (
        401,
        "Enter a valid email or username and/or password.",
    ),
    "api.post.create_post.root_id.app_error": (400, "Invalid RootId parameter."),
    "api.post.create_post.channel_root_id.app_error": (400, "Invalid ChannelId for RootId parameter."),
    "api.post.create_post.can_not_post_to_deleted.error": (400, "Can not post to deleted channel."),
    "api.post.deduplicate_create_post.pending": (
        500,
        "Rejected post since another client is making the same request.",
    ),
    "api.post.deduplicate_create_post.failed_to_get": (
        500,
        "Failed to fetch original post after deduping a client repeating the same request.",
    ),
    "app.post.save.app_error": (500, "Unable to save the Post."),
    "api.post.update_post.permissions_details.app_error": (
        403,
        "You do not have the appropriate permissions.",
    ),
    "model.post.is_valid.msg.app_error": (400, "Invalid message."),
    "model.post.is_valid.props.app_error": (400, "Invalid props."),
    "app.post.get.app_error": (404, "Unable to get the post."),
    "app.channel.get.existing.app_error": (404, "Unable to find the existing channel."),
    "app.channel.get_by_name.missing.app_error": (404, "Channel does not exist."),
    "app.channel.get_member.missing.app_error": (
        404,
        "No channel member found for that user ID and channel ID.",
    ),
    "app.team.get.find.app_error": (404, "Unable to find the existing team."),
    "app.team.get_by_name.missing.app_error": (404, "Unable to find the existing team."),
    "app.user.missing_account.const": (404, "Unable to find an existing account."),
    "store.sql_user.get_by_username.app_error": (
        404,
        "Unable to find an existing account matching your username for this team. "
        "This team may require an invite from the team owner to join.",
    ),
    "app.file_info.get.app_error": (404, "Unable to get the file info."),
    "web.incoming_webhook.invalid.app_error": (400, "Invalid webhook."),
    "web.incoming_webhook.channel.app_error": (404, "Couldn't find the channel."),
    "api.channel.remove_members.denied": (400, "Cannot remove user from a channel of this type."),
    "api.post.do_action.action_id.app_error": (404, "Invalid action id."),
    "api.post.do_action.action_integration.app_error": (400, "Action integration error."),
    "api.command.duplicate_trigger.app_error": (
        400,
        "This trigger word is already in use. Please choose another word.",
    ),
    "api.command.execute_command.not_found.app_error": (
        404,
        "Command with a trigger of '{name}' not found. To send a message beginning with \"/\", "
        "try adding an empty space at the beginning of the message.",
    ),
    "api.command.execute_command.failed.app_error": (500, "Command with a trigger of '{name}' failed."),
    "app.command_webhook.get.missing": (404, "Unable to get the webhook."),
    "app.command_webhook.try_use.invalid": (400, "Invalid webhook."),
    "interactive_message.decode_trigger_id.base64_decode_failed": (
        400,
        "Failed to decode base64 for trigger ID for interactive dialog.",
    ),
    "interactive_message.decode_trigger_id.missing_data": (
        400,
        "Trigger ID missing required data for interactive dialog.",
    ),
    "interactive_message.decode_trigger_id.expired": (
        400,
        "Trigger ID for interactive dialog is expired. Trigger IDs live for a maximum of 3 seconds.",
    ),
    "interactive_message.decode_trigger_id.verify_signature_failed": (
        400,
        "Signature verification failed of trigger ID for interactive dialog.",
    ),
    "sandbox.fault.app_error": (500, "An internal error has occurred. Check app server logs for details."),
}


class ApiError(Exception):
    """Answered as the real server's error body."""

    def __init__(self, error_id: str, *, status: int = 0, name: str = "") -> None:
        known_status, message = _REFUSALS[error_id]
        super().__init__(error_id)
        self.error_id = error_id
        self.status = status or known_status
        self.message = message.format(name=name)

    def as_json(self, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "id": self.error_id,
            "message": self.message,
            "detailed_error": "",
            "request_id": request_id,
            "status_code": self.status,
        }


def forbidden() -> ApiError:
    """403, as for a channel that one is no member of."""
    return ApiError("api.context.permissions.app_error")

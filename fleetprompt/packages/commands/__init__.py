"""Packages by chat: a deterministic grammar, plans that a person confirms, and progress in one post.

No model has a say in any of it: a command is obeyed because of who wrote it, which the chat server vouches for, and
never because of what an agent, a bot, a webhook or somebody's mail says.
"""

"""The proton-mail connector: what a mailbox is to a tenant."""

"""Secrets at rest: a key per tenant seals them, the master key wraps those keys. Storing them is the caller's part."""

from fleetprompt.credentials.keyring import Keyring
from fleetprompt.credentials.master_key import KEY_FILE, MasterKey
from fleetprompt.credentials.sealing import SealBroken, TenantKey, WrongMasterKey
from fleetprompt.kernel.secret import Secret

__all__ = ["KEY_FILE", "Keyring", "MasterKey", "SealBroken", "Secret", "TenantKey", "WrongMasterKey"]

"""An embedded Postgres: nothing to install, nothing to configure, shared by the processes of one data directory."""

from fleetprompt.database.embedded.address import ServerAddress
from fleetprompt.database.embedded.layout import Layout, default_data_dir, prepare_data_dir
from fleetprompt.database.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "Layout", "ServerAddress", "default_data_dir", "prepare_data_dir"]

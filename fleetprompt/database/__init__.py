"""The Postgres servers, the engine, and the migrations. Engines and sessions are created here and in tenancy alone."""

#!/bin/bash
# Run once by the Postgres image, when its volume is new: the role that services log in as. It owns nothing;
# `runfold ledger create` grants it what it may do.
set -euo pipefail

psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set=password="$SERVICE_PASSWORD" <<'SQL'
CREATE ROLE runfold_service LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
SQL

#!/usr/bin/env bash
# Makes the Postgres programs of every major in MAJORS available: those of the machine where it has them,
# else the packages of the PostgreSQL project (apt.postgresql.org), whose key comes with postgresql-common.
set -euo pipefail

apt_get() { sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }

missing=()
for major in $MAJORS; do
  if [[ ! $major =~ ^[0-9]{2}$ ]]; then
    echo "::error::postgres is '$major': use majors such as 16 or '16 17'"
    exit 2
  fi
  if [[ -x /usr/lib/postgresql/$major/bin/pg_dump && -x /usr/lib/postgresql/$major/bin/initdb ]]; then
    echo "PostgreSQL $major is on this machine"
  else
    missing+=("postgresql-$major")
  fi
done
if ((${#missing[@]} == 0)); then exit 0; fi

echo "installing ${missing[*]} from apt.postgresql.org"
# A cluster would start by itself otherwise.
sudo mkdir -p /etc/postgresql-common
echo "create_main_cluster = false" | sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
apt_get update
apt_get install -y --no-install-recommends postgresql-common ca-certificates
sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
apt_get install -y --no-install-recommends "${missing[@]}"

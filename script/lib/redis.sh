# A Redis or Valkey server for the tests and the demo. Sourced after say.sh.
# shellcheck shell=bash

# Prints the path of a server binary: the one in ERGATE_TEST_REDIS_SERVER, or one on PATH. Fails if there is none.
redis_binary() {
  if [ -n "${ERGATE_TEST_REDIS_SERVER:-}" ]; then
    printf '%s\n' "$ERGATE_TEST_REDIS_SERVER"
  else
    command -v redis-server || command -v valkey-server
  fi
}

# Makes sure that there is a server to start, or one that runs already and has its address in REDIS_URL.
ensure_redis() {
  [ -z "${REDIS_URL:-}" ] || return 0
  ensure_redis_binary
}

# The same for those who start servers of their own, as the tests do.
ensure_redis_binary() {
  redis_binary >/dev/null && return
  say "no redis-server and no valkey-server on PATH"
  # A package may want to start its service and say that it could not; all we need is the program.
  install_packages apt=redis-server dnf=redis apk=redis brew=redis || true
  redis_binary >/dev/null && return
  die "Ergate needs Redis 6.2 or Valkey 7.2 (or newer), and it could not be installed. Three ways out:
  1. install it with your package manager: the package is called redis, redis-server or valkey
  2. for the tests, name a binary:       ERGATE_TEST_REDIS_SERVER=/path/to/valkey-server
  3. for all else, name a running one:   REDIS_URL=redis://host:6379"
}

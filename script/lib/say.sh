# Talking to the person at the terminal, and asking the system for programs. Sourced, never run.
# shellcheck shell=bash

if [ -t 2 ]; then
  SAY=$'\033[1m==>\033[0m' WARNING=$'\033[1;33mwarning:\033[0m' ERROR=$'\033[1;31merror:\033[0m'
else
  SAY='==>' WARNING='warning:' ERROR='error:'
fi

say() { printf '%s %s\n' "$SAY" "$*" >&2; }

warn() { printf '%s %s\n' "$WARNING" "$*" >&2; }

die() {
  printf '%s %s\n' "$ERROR" "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    return 1
  fi
}

# Installs packages with the first package manager there is, each of which has names of its own:
#   install_packages apt=redis-server dnf=redis apk=redis brew=redis
# Fails without a word when no manager is known or it has no name in the list.
install_packages() {
  local pair manager
  for pair in "$@"; do
    manager=${pair%%=*}
    case $manager in apt) have apt-get ;; *) have "$manager" ;; esac || continue
    local names
    IFS=, read -ra names <<<"${pair#*=}"
    say "installing ${names[*]} with $manager"
    case $manager in
      apt) as_root apt-get update -qq >&2 && as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${names[@]}" >&2 ;;
      dnf) as_root dnf install -y -q "${names[@]}" >&2 ;;
      apk) as_root apk add --quiet "${names[@]}" >&2 ;;
      brew) brew install --quiet "${names[@]}" >&2 ;;
      *) return 1 ;;
    esac
    return
  done
  return 1
}

# What every script here needs: the repository, a cache outside it, and missing packages.
#
# Sourced, never run. Changes into the repository, so that a script works from anywhere.

caller="$PWD"
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/smtptrail"

# Builds stay out of the clone: its visible top level is part of the design.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
mkdir -p "$cache" "$CARGO_TARGET_DIR"
cd "$repository"

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# Names the step about to run, on standard error.
step() {
    printf '\n== %s\n' "$*" >&2
}

# need COMMAND=PACKAGE...: installs the packages whose command is missing.
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "please install: ${missing[*]} (there is no apt-get here)"

    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please install as root: ${missing[*]}"
        root=(sudo)
    fi
    step "install ${missing[*]}"
    "${root[@]}" apt-get update -qq >/dev/null
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "${missing[@]}" >/dev/null
}

# Builds the program in release mode and sets `smtptrail` to its path.
build_release() {
    cargo build --release --quiet --bin smtptrail
    smtptrail="$CARGO_TARGET_DIR/release/smtptrail"
}

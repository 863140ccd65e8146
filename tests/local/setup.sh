#!/usr/bin/env bash
# Makes or renews the virtual environment with the local cloud, AWS SAM CLI, cfn-lint and cargo-lambda, and prints its path.
#
#   venv=$(tests/local/setup.sh)
#
# Needs Python 3.10 or newer with pip; PYTHON=... names one. Progress goes to stderr. Costs nothing when the pins are unchanged.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$here/requirements.lock
venv=${XDG_CACHE_HOME:-$HOME/.cache}/wharfinger/venv
stamp=$venv/.wharfinger-pins
log=$venv.log

say() { printf '%s\n' "$*" >&2; }

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (4,))' >/dev/null 2>&1 && "$1" -m pip --version >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
        if fits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
        if [[ $candidate == "${PYTHON:-}" ]]; then
            say "PYTHON=$PYTHON is no Python 3.10 or newer with pip"
            exit 2
        fi
    done
    say "Python 3.10 or newer with pip is needed, and none was found on the PATH. Install one, or name it: PYTHON=/path/to/python3"
    exit 2
}

run() {
    if ! "$@" >>"$log" 2>&1; then
        say "failed: $*"
        tail -n 20 "$log" >&2
        say "the whole output is in $log"
        exit 1
    fi
}

install() {
    local python=$1 pip
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    : >"$log"
    # Some distributions ship Python without ensurepip; then the pip that is there installs into the environment.
    if "$python" -m venv "$venv" >>"$log" 2>&1; then
        pip=("$venv/bin/python" -m pip)
    else
        rm -rf "$venv"
        run "$python" -m venv --without-pip "$venv"
        pip=("$python" -m pip --python "$venv/bin/python")
    fi
    say "installing $(grep -c '==' "$lock") Python packages into $venv (about a minute)"
    run "${pip[@]}" install --disable-pip-version-check --no-input --no-deps --requirement "$lock"
    run "${pip[@]}" check
}

wanted=$(cksum <"$lock")
if [[ ! -x $venv/bin/python || ! -f $stamp || $(cat "$stamp") != "$wanted" ]]; then
    python=$(find_python)
    began=$SECONDS
    install "$python"
    printf '%s\n' "$wanted" >"$stamp"
    say "the environment is ready after $((SECONDS - began)) s"
fi
printf '%s\n' "$venv"

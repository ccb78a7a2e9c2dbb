#!/bin/sh
# Makes or completes a virtual environment with this checkout installed in it, editable.
#
#   tools/environment.sh FOLDER EXTRAS PYTHONS [REQUIREMENT ...]
#
# FOLDER is made under another name first, then filled; a stamp in it says what is installed, and
# depends on setup.cfg, pyproject.toml, the extras and the requirements. PYTHONS are interpreters
# to try, in order. A REQUIREMENT, such as a pinned TensorFlow, is installed with the checkout.
set -u
folder=$1 extras=$2 pythons=$3
shift 3

fail() {
    echo "error: $*" >&2
    exit 1
}

# Runs an interpreter rather than looking it up: a version manager's shim may be there and fail.
# Prints nothing when it can be used, else why not.
why_not() {
    "$1" -c "
import sys
low, high = [tuple(map(int, v.split('.'))) for v in sys.argv[1:]]
if not low <= sys.version_info[:2] <= high:
    sys.exit('is Python %d.%d, and TensorFlow needs %s to %s' % (sys.version_info[:2] + tuple(sys.argv[1:])))
try:
    import ensurepip, venv
except ImportError:
    sys.exit('has no venv with ensurepip (on Debian and Ubuntu: apt-get install python3-venv)')
" "$OLDEST" "$NEWEST" 2>&1 >/dev/null || true
}

find_python() {
    tried=""
    for python in $pythons; do
        if ! command -v "$python" >/dev/null 2>&1; then
            tried="$tried; $python is not there"
            continue
        fi
        if ! "$python" -c "" >/dev/null 2>&1; then
            tried="$tried; $python does not run"
            continue
        fi
        reason=$(why_not "$python")
        [ -z "$reason" ] && return 0
        tried="$tried; $python $reason"
    done
    fail "no usable Python $OLDEST to $NEWEST, name one with PYTHON=/path/to/python:${tried#;}."
}

digest() { # of what decides the contents of the environment
    { cat setup.cfg pyproject.toml; echo "$*"; "$folder/bin/python" -VV; } | cksum | cut -d ' ' -f 1
}

stamp() { echo "$folder/.installed-$1"; }

is_installed() { # every extra has a stamp of its own, so a larger set serves a smaller one
    for extra in $(echo "$extras" | tr ',' ' '); do
        [ "$(cat "$(stamp "$extra")" 2>/dev/null)" = "$wanted" ] || return 1
    done
}

runs() { "$folder/bin/python" -c "import pip" >/dev/null 2>&1; }

is_of_choice() { # of the interpreter that was asked for, where one was
    [ -z "${PYTHON:-}" ] && return 0
    find_python
    which='import sys; print(sys.version, sys.base_prefix)'
    [ "$("$python" -c "$which")" = "$("$folder/bin/python" -c "$which")" ]
}

make_folder() {
    find_python
    echo "Making $folder with $("$python" -V 2>&1)."
    rm -rf "$folder" "$folder.partial"
    # A virtual environment holds its own path, so pip comes in only under the final name.
    "$python" -m venv --without-pip "$folder.partial" &&
        mv "$folder.partial" "$folder" &&
        "$python" -m venv --without-pip "$folder" &&
        "$folder/bin/python" -m ensurepip >/dev/null ||
        fail_of_disk "making $folder failed"
}

fail_of_disk() { # the likeliest cause of a failed step, where it can be seen
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge 100 ] || fail "$1: only $free MB are free on this disk, and about 3000 are needed."
    fail "$1; the lines above say why."
}

install() {
    echo "Installing into $folder ([$extras]); the first time this takes some minutes."
    quiet=--quiet
    [ -t 1 ] && quiet="" # somebody looks: pip shows its progress
    "$folder/bin/python" -m pip install $quiet --disable-pip-version-check \
        -e ".[$extras]" "$@" || fail_of_disk "installing failed"
    for extra in $(echo "$extras" | tr ',' ' '); do
        echo "$wanted" >"$(stamp "$extra")"
    done
}

[ -d "$folder" ] && runs && is_of_choice || make_folder
wanted=$(digest "$@")
is_installed || install "$@"

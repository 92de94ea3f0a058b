# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of audit-relay(1) for bash. Verbs and options are those that --help shows.

_audit_relay_verbs() {
    "$1" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'
}

_audit_relay_options() {
    "$1" "$2" --help 2>/dev/null | grep -oE -e '--[a-z][a-z0-9-]*=?' | sort -u
}

# What stands behind an option's =.
_audit_relay_values() {
    case $2 in
    --node) "$1" complete nodes 2>/dev/null ;;
    --format) "$1" "$3" --help 2>/dev/null | grep -oE '\b(raw|json|interpreted)\b' | sort -u ;;
    esac
}

# What stands at a place without an option: of cert first a command, then a name or a file.
_audit_relay_words() {
    case $2 in
    doctor) "$1" complete checks ;;
    status) "$1" complete components ;;
    drill) "$1" complete conditions ;;
    complete) printf '%s\n' checks components conditions nodes ;;
    cert\ show) ;;
    cert\ *) "$1" complete nodes 2>/dev/null ;;
    cert) "$1" cert --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' ;;
    esac
}

_audit_relay() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} verb='' place='' option='' i

    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { verb=${COMP_WORDS[i]}; break; }
    done
    place=$verb
    [[ $verb != cert ]] || ((COMP_CWORD <= i + 1)) || place="cert ${COMP_WORDS[i + 1]}"
    # bash takes the = of an option for a word of its own.
    if [[ $current == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 1]}
        current=''
    elif [[ $COMP_CWORD -ge 2 && ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_audit_relay_verbs "$program") --help --version" -- "$current")
    elif [[ -n $option ]]; then
        case $option in
        --node | --format)
            mapfile -t COMPREPLY < <(compgen -W "$(_audit_relay_values "$program" "$option" "$verb")" -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        esac
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_audit_relay_options "$program" "$verb")" -- "$current")
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
    else
        mapfile -t COMPREPLY < <(compgen -W "$(_audit_relay_words "$program" "$place")" -- "$current")
        [[ ${#COMPREPLY[@]} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -F _audit_relay audit-relay

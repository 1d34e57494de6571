#!/usr/bin/env bash
# Tunes a program with `autohpo ask` and `autohpo tell` alone. Start it in as many shells as you like, each with a
# name of its own; a shell that was killed is started again with the name it had, and goes on with its trial.
#
#     ask_tell.sh STORE SPACE NAME PROGRAM    PROGRAM gets --lr 0.1 ..., and prints its result as the last line
set -u
export AUTOHPO_STORE=$1
space=$2 me=$3 program=$4

while true; do
    asked=$(autohpo ask --space "$space" --algorithm tpe --max-evals "${MAX_EVALS:-30}" --seed 1 \
        --client-id "$me" --format env)
    case $? in
        0) eval "$asked" ;;            # now $AUTOHPO_TRIAL, $AUTOHPO_ARGS, $HP_lr, ... are set
        6) sleep 1; continue ;;        # nothing to do before a running trial ends
        7) break ;;                    # the search is over
        *) exit 1 ;;                   # the reason is on standard error
    esac
    if said=$(eval "$program $AUTOHPO_ARGS"); then
        autohpo tell --number "$AUTOHPO_TRIAL" --perf "$(tail -n 1 <<<"$said")" --client-id "$me" || exit 1
    else
        autohpo fail --number "$AUTOHPO_TRIAL" --reason "exit code $?" --client-id "$me" || exit 1
    fi
done

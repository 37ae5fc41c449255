#!/bin/sh
# One task for GNU parallel: what errand.py does, with curl, which by itself tries again after a 429.
set -eu
ask() { curl --silent --show-error --fail --retry 10 "$@"; }
body="{\"model\": \"z-image\", \"prompt\": \"a red shoe $1\"}"
made=$(ask ${KEYS:+-H "idempotency-key: key-$1"} -H "content-type: application/json" -d "$body" "$ADDRESS/v1/renders")
render=$(printf %s "$made" | sed 's/.*"id": "\([^"]*\)".*/\1/')
while seen=$(ask "$ADDRESS/v1/renders/$render"); do
    case $seen in *'"succeeded"'*) break ;; esac
    sleep "$POLL"
done
ask -o "out/.$1.part" "$(printf %s "$seen" | sed 's/.*"primary_url": "\([^"]*\)".*/\1/')"
mv "out/.$1.part" "out/$1"

#!/bin/sh
# Trains a network on wine.csv, follows it live, reads its curve and predicts: with curl (7.82 or later) alone.
#
#   examples/clients/with_curl.sh [http://127.0.0.1:8000]
#
# Where the server asks for a key, RIDGELINE_KEY holds one. (Arguments can be read by everybody on this machine;
# where others work too, write the header into a file and say -H @FILE.)
set -eu
api=${1:-${RIDGELINE_SERVER:-http://127.0.0.1:8000}}/v1
data=$(dirname "$0")/../wine.csv

# What is refused fails here, and its body is a problem document that says what to mend.
call() { curl --fail-with-body -sS ${RIDGELINE_KEY:+-H "Authorization: Bearer $RIDGELINE_KEY"} "$@"; }
fail() { echo "$1" >&2; exit 1; }
first() { grep -o "$1_[0-9a-f]*" | head -1; }

# The same bytes are the same dataset: uploading them again is no mistake and makes no second one.
answer=$(call -F "file=@$data" -F target=target "$api/datasets") || fail "$answer"
dataset=$(echo "$answer" | first ds)

# 202: the job is committed. Under the same Idempotency-Key it may be sent again without making a second one.
answer=$(call -H "Idempotency-Key: wine-$$-$(date +%s)" --json '{
    "name": "wine with curl",
    "dataset": "'"$dataset"'",
    "regularization": {
        "dropout": 0.2,
        "early_stopping": {"monitor": "val_loss", "patience": 10}
    }
}' "$api/jobs") || fail "$answer"
job=$(echo "$answer" | first job)
echo "$dataset → $job"

# Live: every epoch as soon as it is measured (-N: as it comes). The stream ends with the job; one that was cut
# goes on where it was with -H 'Last-Event-ID: N', the last `id:` that was seen.
call -N -H 'Accept: text/event-stream' "$api/jobs/$job/events" | sed -n \
    -e 's/^data: {"status":"\([a-z]*\)".*/\1/p' \
    -e 's/^data: {"epoch":\([0-9]*\),.*"train_loss":\([^,]*\),.*"val_loss":\([^,]*\),.*/epoch \1  \2  \3/p'

# The row has the last word. ?wait= answers when the status changes, so nobody need ask again and again.
answer=$(call "$api/jobs/$job?wait=60") || fail "$answer"
echo "$answer" | grep -q '"status": *"succeeded"' || fail "$answer"
call "$api/jobs/$job/curves?format=txt"

# What the network says of the first wine, in the file's own columns and units. Rows may be JSON as well.
head -2 "$data" | call -H 'Content-Type: text/csv' -H 'Accept: text/csv' --data-binary @- "$api/jobs/$job/predict"

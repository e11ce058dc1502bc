#!/bin/sh
# Trains a network on wine.csv, follows it live, reads its curve and predicts: with HTTPie (pip install httpie).
#
#   examples/clients/with_httpie.sh [http://127.0.0.1:8000]
#
# Where the server asks for a key, RIDGELINE_KEY holds one.
set -eu
api=${1:-${RIDGELINE_SERVER:-http://127.0.0.1:8000}}/v1
data=$(dirname "$0")/../wine.csv

# What is refused fails here (--check-status), and its body is a problem document that says what to mend.
call() {
    http --ignore-stdin --check-status --body \
        ${RIDGELINE_KEY:+--auth-type=bearer "--auth=$RIDGELINE_KEY"} "$@"
}
fail() { echo "$1" >&2; exit 1; }
first() { grep -o "$1_[0-9a-f]*" | head -1; }

# The same bytes are the same dataset: uploading them again is no mistake and makes no second one.
answer=$(call --form POST "$api/datasets" "file@$data" target=target) || fail "$answer"
dataset=$(echo "$answer" | first ds)

# 202: the job is committed. Under the same Idempotency-Key it may be sent again without making a second one.
# := is a number, = a text, and [] goes inside: {"regularization": {"dropout": 0.2, "early_stopping": {…}}}.
answer=$(call POST "$api/jobs" "Idempotency-Key:wine-$$-$(date +%s)" \
    name='wine with httpie' \
    dataset="$dataset" \
    regularization[dropout]:=0.2 \
    regularization[early_stopping][monitor]=val_loss \
    regularization[early_stopping][patience]:=10) || fail "$answer"
job=$(echo "$answer" | first job)
echo "$dataset → $job"

# Live: every epoch as soon as it is measured. The stream ends with the job; one that was cut goes on where it
# was with Last-Event-ID:N, the last `id:` that was seen.
call --stream GET "$api/jobs/$job/events" Accept:text/event-stream | sed -n \
    -e 's/^data: {"status":"\([a-z]*\)".*/\1/p' \
    -e 's/^data: {"epoch":\([0-9]*\),.*"train_loss":\([^,]*\),.*"val_loss":\([^,]*\),.*/epoch \1  \2  \3/p'

# The row has the last word. wait== answers when the status changes, so nobody need ask again and again.
answer=$(call GET "$api/jobs/$job" wait==60) || fail "$answer"
echo "$answer" | grep -q '"status": *"succeeded"' || fail "$answer"
call GET "$api/jobs/$job/curves" format==txt

# What the network says of the first wine, in the file's own columns and units. Rows may be JSON as well.
call POST "$api/jobs/$job/predict" Content-Type:text/csv Accept:text/csv --raw="$(head -2 "$data")"

#!/usr/bin/env bash
# Redis 7.0.15: CLIENT UNPAUSE does not end a CLIENT PAUSE of the default mode ALL. It is paused itself, and is answered when the pause is over by itself.
# A pause of mode WRITE ends at once. Whoever pauses a server for too long by mistake cannot take it back.
# Seen with redis-server from the PATH:
#   ALL: a pause of 3000 ms ended early by CLIENT UNPAUSE: no
#   WRITE: a pause of 3000 ms ended early by CLIENT UNPAUSE: yes
set -euo pipefail
version=$(redis-server --version | grep -o 'v=[0-9.]*')
[ "$version" = 'v=7.0.15' ] || { echo "This was seen on Redis 7.0.15, and here is $version." >&2; exit 1; }
folder=$(mktemp -d)
port=$((20000 + RANDOM % 10000))
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" >/dev/null &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
output=$(for mode in ALL WRITE; do
  redis-cli -p "$port" client pause 3000 "$mode" >/dev/null
  start=$(date +%s%N)
  redis-cli -p "$port" client unpause >/dev/null
  took=$((($(date +%s%N) - start) / 1000000))
  echo "$mode: a pause of 3000 ms ended early by CLIENT UNPAUSE: $([ "$took" -lt 2500 ] && echo yes || echo no)"
done)
echo "$output"
expected='ALL: a pause of 3000 ms ended early by CLIENT UNPAUSE: no
WRITE: a pause of 3000 ms ended early by CLIENT UNPAUSE: yes'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }

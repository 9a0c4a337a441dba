#!/bin/sh
# A bot which does nothing useful, regularly. A real one would ask a chat for news here.
set -eu

trap 'echo "asked to stop, bye"; exit 0' TERM INT

echo "hello, I am a bot; every ${BOT_INTERVAL:=5} seconds I say so"
count=0
while true; do
    # In the background: a shell handles a signal only between commands, and `wait` ends at one.
    sleep "$BOT_INTERVAL" &
    wait $!
    count=$((count + 1))
    echo "beep $count"
done

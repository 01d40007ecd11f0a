#!/usr/bin/env bash
# Runs the example host application in a real window under Xvfb, presses F5 and F6 and the entry "Cloud Folder Sync…" of its
# menu, and looks at what happened.
#   tests/page/host.sh CFS [PICTURE.png]      needs Debian's xvfb, xdotool, python3-tk; imagemagick for the picture
set -euo pipefail
cfs=$(realpath "$1") picture=${2:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
python=$(for p in /usr/bin/python3 python3; do "$p" -c "import tkinter, sqlite3" 2>/dev/null && echo "$p" && break; done || true)
if ! command -v Xvfb >/dev/null || ! command -v xdotool >/dev/null || [ -z "$python" ]; then
  echo "skipped: it needs xvfb, xdotool and python3-tk"
  exit 0
fi
dir=$(mktemp -d)
display=:$((90 + RANDOM % 900))
Xvfb "$display" -screen 0 1000x760x24 >/dev/null 2>&1 &
xvfb=$!
trap 'kill ${app:-} $xvfb 2>/dev/null || true; wait 2>/dev/null; rm -rf "$dir"' EXIT
export DISPLAY=$display
"$cfs" demo "$dir/demo" >/dev/null
sql() { "$python" -c "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],timeout=20); print(*[r[0] for r in c.execute(sys.argv[2])]); c.commit()" "$dir/demo/$1/clinic.db" "$2"; }
until_it() { for _ in $(seq 300); do if "${@:2}" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; echo "waited in vain: $1"; exit 1; }
# A browser that only writes down what it is to open.
printf '#!/bin/sh\necho "$1" >> "%s/opened"\n' "$dir" > "$dir/browser"
chmod +x "$dir/browser"
BROWSER="$dir/browser" CFS=$cfs "$python" "$here/examples/host_app.py" "$dir/demo/north/clinic.db" &
app=$!
until_it "the window" xdotool search --name '^Clinic$'
window=$(xdotool search --name '^Clinic$' | head -1)
until_it "the service" "$cfs" --config "$dir/demo/north/cfs.toml" open --print
# The last entry of the menu opens the page. Done first: later another window lies over the menu.
xdotool mousemove 20 10 click 1
sleep 0.7
xdotool key Up
sleep 0.3
xdotool key Return
opened() { grep -q '^http://127.0.0.1:[0-9]*/enter?key=' "$dir/opened"; }
until_it "the page is opened in a browser" opened
# What the other clinic writes comes by itself.
sql south "UPDATE patient SET phone = '555 8080' WHERE last_name = 'Brackenridge'"
"$cfs" --config "$dir/demo/south/cfs.toml" sync >/dev/null
came() { [ "$(sql north "SELECT phone FROM patient WHERE last_name = 'Brackenridge'")" = "555 8080" ]; }
until_it "the news" came
# What is typed here goes with F5.
sql north "UPDATE patient SET phone = '555 9090' WHERE last_name = 'Brackenridge'"
xdotool windowfocus "$window" key --window "$window" F5
went() { "$cfs" --config "$dir/demo/south/cfs.toml" sync && [ "$(sql south "SELECT phone FROM patient WHERE last_name = 'Brackenridge'")" = "555 9090" ]; }
until_it "what was typed is there" went
xdotool windowfocus "$window" key --window "$window" F6
until_it "the log window" xdotool search --name '^Latest synchronizations$'
log=$(xdotool search --name '^Latest synchronizations$' | head -1)
sleep 1
if [ -n "$picture" ]; then
  xdotool windowmove "$window" 0 0 windowmove "$log" 150 330 || true
  sleep 1
  import -window root "$picture"
fi
kill "$app"
ended() { ! "$cfs" --config "$dir/demo/north/cfs.toml" open --print; }
until_it "the service ends with the application" ended
echo "the example application: all well"

#!/bin/sh
# Prints the tables of drivers in docs/benchmarks.md: writes of statuses beside their
# floor, and memory. OFFHOOK_WRITES is how many writes make a row. What the benchmarks say
# themselves goes to the standard error. Run it from the repository's root.
set -eu
drivers="threecx portsip asterisk freeswitch sippresence memory"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
touch "$dir/writes" "$dir/memory"
code=0
for driver in $drivers; do
	OFFHOOK_TABLE=$dir/writes go test -run '^$' -bench StatusWrites -benchtime "${OFFHOOK_WRITES:-4000}x" -timeout 1h "./libs/pbx/$driver" >&2 || code=1
	OFFHOOK_TABLE=$dir/memory go test -run '^$' -bench Memory -benchtime 1x -timeout 1h "./libs/pbx/$driver" >&2 || code=1
done
echo '| driver | what | writes/s | floor/s | of the floor | driver alone | p50 | p99 | load average |'
echo '|---|---|---|---|---|---|---|---|---|'
cat "$dir/writes"
echo
echo '| driver | a connected system | a watched extension | load average |'
echo '|---|---|---|---|'
cat "$dir/memory"
exit $code

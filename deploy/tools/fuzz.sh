#!/bin/sh
# Runs every fuzz target for FUZZTIME (default 60s).
set -eu
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' libs services | xargs -n1 dirname | sort -u); do
	for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/func //' | sort -u); do
		echo "== $dir $target"
		go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 5x
	done
done

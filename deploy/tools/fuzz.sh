#!/bin/sh
# Runs every fuzz target for FUZZTIME (default 60s), whatever became of the others. Go
# writes an input that fails to testdata/fuzz/<target>/ beside the test: commit it with
# the mend, and every `go test` tries it from then on. What else is kept there makes
# each target begin where earlier runs had come to.
set -eu
failed=""
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' libs services | xargs -n1 dirname | sort -u); do
	for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/func //' | sort -u); do
		echo "== $dir $target"
		go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 5x || failed="$failed $dir:$target"
	done
done
[ -z "$failed" ] || {
	echo "failed:$failed" >&2
	git status --short -- '*/testdata/fuzz/*' >&2 || true
	exit 1
}

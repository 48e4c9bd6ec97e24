#!/bin/sh
# Checks the models of docs/models with Spin, exhaustively, and that each mutant is
# caught. RUNS=text runs only what has the text in its line; SLOW=1 runs what takes a
# quarter of an hour as well; TRAILS=directory keeps what is needed to replay what failed.
set -eu
models=$(cd "$(dirname "$0")/../../docs/models" && pwd)
missing=""
for tool in spin gcc; do
	command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	echo "missing:$missing (Debian package names). Without them the models are not checked; with CI set that is a failure." >&2
	[ -z "${CI:-}" ] || exit 1
	exit 0
fi

# one CHECKED: what must come of it|name|switches; prints "ok" or "WRONG" and the row.
if [ "${1:-}" = one ]; then
	expect=${2%%|*} rest=${2#*|}
	name=${rest%%|*} switches=${rest#*|}
	optimise=-O2
	[ "$expect" = holds ] || optimise=-O0 # over before a better compiler would pay
	check="-DSAFETY" look="-E"
	case $expect in ends | loops) check="-DNP" look="-E -A -l" ;; esac # is there a run without an end?
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	cp "$models"/*.pml "$models"/*.h "$dir"
	cd "$dir"
	# shellcheck disable=SC2086
	if ! spin -a $switches twoway.pml >log 2>&1 || ! gcc "$optimise" -w "$check" -DNOREDUCE -DCOLLAPSE -DMEMLIM=3000 -o pan pan.c >>log 2>&1; then
		echo "WRONG|$name|does not compile: $(head -c 200 log | tr '\n' ' ')|||"
		exit 0
	fi
	# shellcheck disable=SC2086
	./pan $look -m100000 -w22 >log 2>&1 || true
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
	depth=$(sed -n 's/.*depth reached \([0-9]*\),.*/\1/p' log)
	seconds=$(sed -n 's/^pan: elapsed time \([0-9.e+]*\) seconds/\1/p' log)
	case $(cat log) in
	*"max search depth"* | *"out of memory"* | *"memory exceeded"*) result="not exhaustive" ;;
	*"pan:1: non-progress cycle"*) result="runs for ever" ;;
	*"assertion violated "*) result=$(sed -n 's/.*assertion violated (*\([a-z_]*\).*/\1/p' log | head -1 | tr _ ' ') ;;
	*"errors: 0"*) result=holds; [ "$expect" != ends ] || result="every run ends" ;;
	*) result="broke: $(tail -c 200 log | tr '\n' ' ')" ;;
	esac
	verdict=WRONG
	case "$expect:$result" in
	holds:holds | ends:"every run ends") verdict=ok ;;
	loops:"runs for ever") verdict=ok result="caught: runs for ever" ;;
	fails:"sides agree" | fails:"rule allows" | fails:"nothing left" | fails:"person known" | fails:"writes bounded")
		verdict=ok result="caught: not \"$result\"" ;;
	esac
	if [ $verdict = WRONG ] && [ -n "${TRAILS:-}" ]; then
		mkdir -p "$TRAILS/$name" && cp -r . "$TRAILS/$name"
	fi
	echo "$verdict|$name|$result|${states:--}|${depth:--}|${seconds:--}"
	exit 0
fi

list=$(mktemp)
rows=$(mktemp)
trap 'rm -f "$list" "$rows"' EXIT
slow="/^slow /d"
[ -z "${SLOW:-}" ] || slow="s/^slow //"
grep -v '^#' "$models/runs" | sed "$slow" | grep -F -- "${RUNS:-|}" >"$list"
tr '\n' '\0' <"$list" | xargs -0 -P "$(getconf _NPROCESSORS_ONLN)" -n 1 sh "$0" one >"$rows"

line() { printf '%-44s %-32s %10s %7s %8s\n' "$@"; }
line model result states depth seconds
wrong=0
while IFS='|' read -r _ name _; do
	row=$(grep -F "|$name|" "$rows" || echo "WRONG|$name|did not run|||")
	IFS='|' read -r verdict _ result states depth seconds <<-END
		$row
	END
	[ "$verdict" = ok ] || { wrong=$((wrong + 1)) result="WRONG: $result"; }
	line "$name" "$result" "$states" "$depth" "$seconds"
done <"$list"
if [ $wrong -gt 0 ]; then
	echo "$wrong of $(wc -l <"$list") runs did not end as they must (TRAILS=directory keeps what replays them)" >&2
	exit 1
fi
echo "all $(wc -l <"$list") runs ended as they must"

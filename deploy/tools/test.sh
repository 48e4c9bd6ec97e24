#!/bin/sh
# Unit tests first, with the race detector but for two kinds: where Microsoft's SDK is
# compiled in (it would be compiled a second time: minutes, and 5 GB), and the core, which
# starts no goroutine and shares nothing (services/e2e/conventions_test.go), and whose
# histories take ten times as long with it. Whatever uses the core is tested with the
# detector, the core in it included. Then, apart, the tests that start whole installations:
# those of processes wait most of the time, those in virtual time never do, and so the two
# go side by side.
set -eu
sdk=$(go list -test -f '{{if .ForTest}}{{.ForTest}}{{else}}{{.ImportPath}}{{end}}{{range .Deps}} {{.}}{{end}}' work |
	grep -F 'github.com/microsoftgraph/msgraph-sdk-go/' | cut -d' ' -f1 | sed 's/\.test$//' | sort -u)
race="" plain="" late=""
# Those that take longest are last in the list: they begin first, so that none runs alone
# on one processor in the end.
for p in $(go list work | sort -r); do
	case $p in
	*/e2e*) late="$late $p" ;;
	*/libs/core/*) plain="$plain $p" ;;
	*) if echo "$sdk" | grep -qxF "$p"; then plain="$plain $p"; else race="$race $p"; fi ;;
	esac
done
echo "== with the race detector"
# shellcheck disable=SC2086
go test -race $race
echo "== without the race detector: with Microsoft's SDK, and the core"
# shellcheck disable=SC2086
go test $plain
echo "== whole installations"
# shellcheck disable=SC2086
go test -parallel 4 -timeout 20m $late

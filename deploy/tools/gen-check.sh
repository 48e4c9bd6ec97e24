#!/bin/sh
# Fails if the committed generated code differs from what the .proto files give.
set -eu
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
PATH="$PWD/.tools:$PATH" buf generate -o "$fresh"
diff -r "$fresh/proto/gen" proto/gen || {
	echo "generated code is not fresh: run make gen and commit the result" >&2
	exit 1
}

#!/bin/sh
# Fails if the .proto files break who speaks the messages of the newest commit of main
# before this one. Without that commit, as in a shallow clone, it says so and ends.
set -eu
skip() {
	echo "breaking changes of .proto files are not looked for: $1" >&2
	exit 0
}
main=$(git rev-parse -q --verify main || git rev-parse -q --verify origin/main) || skip "there is no branch main here"
base=$(git merge-base HEAD "$main" 2>/dev/null) || skip "the history does not reach back to main"
if [ "$base" = "$(git rev-parse HEAD)" ]; then # this is main
	base=$(git rev-parse -q --verify "HEAD^") || skip "the history has one commit only"
fi
git cat-file -e "$base:buf.yaml" 2>/dev/null && git cat-file -e "$base:proto" 2>/dev/null || skip "$base has no .proto files"
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$base" buf.yaml proto | tar -x -C "$before"
PATH="$PWD/.tools:$PATH" buf breaking --against "$before" || {
	echo "the .proto files break what $base speaks: add fields and messages, and leave what is there" >&2
	exit 1
}

// Command graph-writer runs the service of that name alone: see package graphwriter.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/graph-writer/graphwriter"
)

func main() { run.Main(graphwriter.Part()) }

// Command graph-poller runs the service of that name alone: see package poller.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/graph-poller/poller"
)

func main() { run.Main(poller.Part()) }

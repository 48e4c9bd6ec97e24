// Command control-api runs the service of that name alone: see package api.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/control-api/api"
)

func main() { run.Main(api.Part()) }

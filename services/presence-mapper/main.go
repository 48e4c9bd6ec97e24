// Command presence-mapper runs the service of that name alone: see package mapper.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/presence-mapper/mapper"
)

func main() { run.Main(mapper.Part()) }

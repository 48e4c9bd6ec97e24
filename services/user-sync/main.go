// Command user-sync runs the service of that name alone: see package usersync.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/user-sync/usersync"
)

func main() { run.Main(usersync.Part()) }

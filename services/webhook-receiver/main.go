// Command webhook-receiver runs the service of that name alone: see package receiver.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/webhook-receiver/receiver"
)

func main() { run.Main(receiver.Part()) }

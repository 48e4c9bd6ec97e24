// Command contact-sync runs the service of that name alone: see package contactsync.
package main

import (
	"offhook.dev/libs/run"
	"offhook.dev/services/contact-sync/contactsync"
)

func main() { run.Main(contactsync.Part()) }

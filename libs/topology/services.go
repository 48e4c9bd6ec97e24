package topology

// Service is the name of a service: folder, binary, permission and metric label.
type Service string

// The services. docs/design.md says why each is a process of its own.
const (
	WebhookReceiver Service = "webhook-receiver"
	GraphPoller     Service = "graph-poller"
	PresenceMapper  Service = "presence-mapper"
	UserSync        Service = "user-sync"
	ContactSync     Service = "contact-sync"
	PBXWriter       Service = "pbx-writer"
	GraphWriter     Service = "graph-writer"
	ControlAPI      Service = "control-api"
)

// Services lists them in the order of the flow, with what each owns.
func Services() []ServiceInfo {
	return []ServiceInfo{
		{WebhookReceiver, "the public HTTPS endpoint: handshake, clientState, limits, durable publish, 202; behind the queue, token validation and decryption"},
		{GraphPoller, "reading Graph: presence sweeps, calendars, users, contacts, photos; creating and renewing subscriptions"},
		{UserSync, "the plan for extensions, their numbers, and the links: which Microsoft user is which extension"},
		{ContactSync, "the plan for phonebooks, and which of their entries are ours"},
		{PresenceMapper, "the decision: claims, mapping, timers, both directions"},
		{PBXWriter, "the only process that speaks to phone systems: one owner each, applies wants, reads statuses and inventories, watches calls"},
		{GraphWriter, "writing to Graph: presence sessions and preferred presence, with its own, smaller set of permissions"},
		{ControlAPI, "status, explanation, live changes, options and orders over gRPC, REST and SSE"},
	}
}

// ServiceInfo describes one service.
type ServiceInfo struct {
	Name Service
	Owns string
}

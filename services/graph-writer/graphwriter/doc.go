// Package graphwriter is the service graph-writer: the only process that writes to
// Microsoft Graph.
//
// It makes Teams show what people do on the phone: a call as the application's
// presence session, a choice as the preferred presence (docs/presence.md). One
// instance owns a tenant under a lease. What Offhook itself made Teams show is in
// the bucket `pins` (pins.go), written before and after every request, so that after
// a crash or a lost answer the state is set again and nothing of a person's is
// cleared. Nothing is written without a want, and nothing twice for the same one:
// what is about to end is renewed by presence-mapper, which moves the end that it
// wants (apply.go). Whoever is fought over is left alone for a while (libs/core/breaker).
package graphwriter

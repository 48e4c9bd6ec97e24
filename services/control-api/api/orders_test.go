package api

import (
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/wire"
)

func TestWhatNobodyTakesOrEndsIsOverByItself(t *testing.T) {
	asked := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	order := wire.AccountOrder{ID: "12345678", Tenant: "contoso", Kind: wire.Authorize, AskedAt: asked, Expires: asked.Add(orderLife)}
	code := wire.AccountOutcome{ID: "12345678", Tenant: "contoso", Kind: wire.Authorize, State: wire.OrderCode, UserCode: "ABC", URL: "https://x", CodeExpires: asked.Add(15 * time.Minute)}
	for _, c := range []struct {
		name  string
		is    Order
		state string
		ended bool
		code  string
	}{
		{"just asked", waiting(order, asked), "waiting", false, ""},
		{"taken by nobody", waiting(order, asked.Add(orderLife+time.Second)), "expired", true, ""},
		{"a code is shown", outcomeOrder(code, asked), "code", false, "ABC"},
		{"the code has just ended: graph-poller is about to say so", outcomeOrder(code, asked.Add(15*time.Minute+30*time.Second)), "code", false, "ABC"},
		{"graph-poller died and did not come back", outcomeOrder(code, asked.Add(16*time.Minute+time.Second)), "interrupted", true, ""},
		{"a state of a later version", outcomeOrder(wire.AccountOutcome{State: "pondering"}, asked), "pondering", false, ""},
	} {
		if c.is.State != c.state || c.is.Ended != c.ended || c.is.UserCode != c.code {
			t.Errorf("%s: %+v", c.name, c.is)
		}
	}
}

func TestWhereThereCanBeNoLanesItIsSaidWhy(t *testing.T) {
	for _, c := range []struct{ name, cloud, url, where string }{
		{"all is there", "global", "https://offhook.example.com", ""},
		{"polling only", "global", "", "webhook.public_url"},
		{"a cloud without presence notifications", "usgov", "https://offhook.example.com", "microsoft365.cloud: usgov"},
		{"a cloud without presence", "china", "https://offhook.example.com", "microsoft365.cloud: china"},
	} {
		no, err := WhyNoLanes(config.Config{Webhook: config.Webhook{PublicURL: c.url}}, config.Tenant{Microsoft365: config.Microsoft365{Cloud: c.cloud}})
		if err != nil || no.Where != c.where || (no.What == "") != (c.where == "") || (no.Fix == "") != (c.where == "") {
			t.Errorf("%s: %+v, %v", c.name, no, err)
		}
	}
}

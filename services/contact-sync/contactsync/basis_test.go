package contactsync

import (
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

func TestAPlanIsStaleWhenItWasMadeOfSomethingElse(t *testing.T) {
	t.Parallel()
	limits := func(f *wire.System) { f.BookLimits = map[directory.Field]int{directory.Company: 50} }
	for _, c := range []struct {
		name string
		do   func(s *stage)
		want wire.SyncState
	}{
		{"the same is heard again", func(s *stage) { s.system(hq, nil); s.link(person(1), lineOf(hq, "204")) }, wire.SyncDone},
		{"somebody has got an extension", func(s *stage) { s.link(person(2), lineOf(hq, "205")) }, wire.SyncStale},
		{"an extension is somebody else's", func(s *stage) { s.link(person(1)) }, wire.SyncStale},
		{"the phone system takes shorter texts", func(s *stage) { s.system(hq, limits) }, wire.SyncStale},
		{"another phone system is heard of", func(s *stage) { s.system(branch, nil) }, wire.SyncStale},
		{"the brake is another", func(s *stage) { s.restart(func(o *Options) { o.Tenants[0].Brake.Count = 9 }) }, wire.SyncStale},
		{"the policy is another", func(s *stage) { s.restart(func(o *Options) { o.Tenants[0].Policy = plan.UpsertOnly }) }, wire.SyncStale},
	} {
		s := newStage(t)
		s.opts.Tenants[0].Policy = plan.Sync
		s.system(hq, nil)
		s.link(person(1), lineOf(hq, "204"))
		o := s.mailbox(person(1), false)
		o.many("contacts", 0, 5, 1)
		s.start()
		o.full()
		s.synced()
		shown := s.shown("p")
		if len(shown.Basis) != 4 {
			t.Errorf("%s: the plan was made of %v", c.name, shown.Basis)
		}
		c.do(s)
		s.eventually(func() string { // what was done is heard
			if now := s.planOf(t); c.want == wire.SyncStale && sum(now.Basis) == sum(shown.Basis) {
				return c.name + ": nothing has changed"
			}
			return ""
		})
		s.order("a", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = shown.ID })
		if out := s.ended("a", c.want); c.want == wire.SyncStale && out.Detail == "" {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}

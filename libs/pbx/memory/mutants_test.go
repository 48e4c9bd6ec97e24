package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
)

// mutant is a driver in which single methods are replaced.
type mutant struct {
	Full
	instead      pbx.Driver // nil, or what is opened in its place: one that lacks methods
	capabilities func(pbx.Capabilities) pbx.Capabilities
	status       func(context.Context, identity.Extension) (presence.Status, error)
	statuses     func(context.Context, func(identity.Extension, presence.Status) error) error
	set          func(context.Context, identity.Extension, presence.Status) error
	extensions   func(context.Context, func(directory.Extension) error) error
	watch        func(context.Context, pbx.Sink) error
	several      func(context.Context, []identity.Extension) (map[identity.Extension]presence.Status, error)
	native       func(context.Context) (pbx.SyncState, error)
	close        func() error
	people
	books
	photo func(context.Context, identity.Extension, []byte, string) error
	dial  func(context.Context, identity.Extension, string) error
}

func (m mutant) Capabilities() pbx.Capabilities {
	if m.capabilities != nil {
		return m.capabilities(m.Full.Capabilities())
	}
	return m.Full.Capabilities()
}

func (m mutant) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	if m.status != nil {
		return m.status(ctx, ext)
	}
	return m.Full.Status(ctx, ext)
}

func (m mutant) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	if m.statuses != nil {
		return m.statuses(ctx, yield)
	}
	return m.Full.Statuses(ctx, yield)
}

func (m mutant) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	if m.set != nil {
		return m.set(ctx, ext, s)
	}
	return m.Full.SetStatus(ctx, ext, s)
}

func (m mutant) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	if m.extensions != nil {
		return m.extensions(ctx, yield)
	}
	return m.Full.Extensions(ctx, yield)
}

func (m mutant) Watch(ctx context.Context, sink pbx.Sink) error {
	if m.watch != nil {
		return m.watch(ctx, sink)
	}
	return m.Full.Watch(ctx, sink)
}

func (m mutant) Dial(ctx context.Context, ext identity.Extension, number string) error {
	if m.dial != nil {
		return m.dial(ctx, ext, number)
	}
	return m.Full.Dial(ctx, ext, number)
}

func (m mutant) StatusesOf(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error) {
	if m.several != nil {
		return m.several(ctx, exts)
	}
	return m.Full.StatusesOf(ctx, exts)
}

func (m mutant) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	if m.native != nil {
		return m.native(ctx)
	}
	return m.Full.NativeSync(ctx)
}

func (m mutant) Close() error {
	if m.close != nil {
		return m.close()
	}
	return m.Full.Close()
}

// rewriteRead and rewriteWrite replace the errors of one kind.
func rewriteRead(d Full, from fault.Kind, to func(error) error) mutant {
	return mutant{Full: d, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
		s, err := d.Status(ctx, ext)
		if err != nil && fault.KindOf(err) == from {
			err = to(err)
		}
		return s, err
	}}
}

func rewriteWrite(d Full, from fault.Kind, to func(error) error) mutant {
	return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
		err := d.SetStatus(ctx, ext, s)
		if err != nil && fault.KindOf(err) == from {
			err = to(err)
		}
		return err
	}}
}

func as(kind fault.Kind) func(error) error {
	return func(err error) error { return fault.New(kind, "mutant", err) }
}

// mutants breaks a driver in one way for each case of the suite. leak ends when
// the test does.
func mutants(leak <-chan struct{}) map[string]func(Full) mutant {
	all := peopleMutants()
	maps.Copy(all, bookMutants())
	maps.Copy(all, dialMutants())
	maps.Copy(all, errandMutants())
	maps.Copy(all, countingMutants())
	maps.Copy(all, leakMutants(leak))
	maps.Copy(all, map[string]func(Full) mutant{
		"every power that is implemented is declared": func(d Full) mutant {
			return mutant{Full: d, capabilities: func(c pbx.Capabilities) pbx.Capabilities { c.NativeSync = false; return c }}
		},
		"every power that is declared is implemented, and can be checked": func(d Full) mutant {
			return mutant{Full: d, instead: silenced(d)}
		},
		"every declared status is shown once set": func(d Full) mutant {
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				if s == presence.BusinessTrip {
					s = presence.Lunch // a missing line in a table
				}
				return d.SetStatus(ctx, ext, s)
			}}
		},
		"a status that a person chose is read": func(d Full) mutant {
			seen := make(map[identity.Extension]presence.Status)
			return mutant{Full: d, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
				s, err := d.Status(ctx, ext)
				if old, ok := seen[ext]; ok && err == nil {
					return old, nil // a cache
				}
				if err == nil {
					seen[ext] = s
				}
				return s, err
			}}
		},
		"setting the same status twice is one state": func(d Full) mutant {
			set := make(map[identity.Extension]presence.Status)
			var mu sync.Mutex
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				mu.Lock()
				same := s != presence.Unset && set[ext] == s
				set[ext] = s
				mu.Unlock()
				if same {
					return fault.Errorf(fault.Conflict, "mutant", "it is so already")
				}
				return d.SetStatus(ctx, ext, s)
			}}
		},
		"the last of many writes wins": func(d Full) mutant {
			var mu sync.Mutex
			writes := 0
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				mu.Lock()
				writes++
				lost := writes > 11 // a queue that drops its newest when full
				mu.Unlock()
				if lost {
					return nil
				}
				return d.SetStatus(ctx, ext, s)
			}}
		},
		"writes to different extensions do not mix": func(d Full) mutant {
			var mu sync.Mutex
			var first identity.Extension // one buffer for all
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				mu.Lock()
				if first == "" {
					first = ext
				}
				if ext != "999" {
					ext = first
				}
				mu.Unlock()
				return d.SetStatus(ctx, ext, s)
			}}
		},
		"an undeclared status is unsupported and never sent": func(d Full) mutant {
			return rewriteWrite(d, fault.Unsupported, func(error) error { return nil })
		},
		"a read of an unknown extension is not found": func(d Full) mutant {
			return rewriteRead(d, fault.NotFound, func(error) error { return nil })
		},
		"the statuses of several extensions are read with one request": func(d Full) mutant {
			return mutant{Full: d, several: func(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error) {
				found := make(map[identity.Extension]presence.Status)
				for _, ext := range exts {
					if s, err := d.Status(ctx, ext); err == nil {
						found[ext] = s
					}
				}
				return found, nil
			}}
		},
		"a write to an unknown extension is not found": func(d Full) mutant {
			return rewriteWrite(d, fault.NotFound, as(fault.Invalid))
		},
		"a listing has every extension once, as it is shown": func(d Full) mutant {
			return mutant{Full: d, statuses: func(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
				var last identity.Extension
				var status presence.Status
				err := d.Statuses(ctx, func(ext identity.Extension, s presence.Status) error {
					last, status = ext, s
					return yield(ext, s)
				})
				if err != nil {
					return err
				}
				return yield(last, status) // pages that overlap by one
			}}
		},
		"a listing ends with the error of its reader": func(d Full) mutant {
			return mutant{Full: d, statuses: func(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
				return d.Statuses(ctx, func(ext identity.Extension, s presence.Status) error {
					_ = yield(ext, s)
					return nil
				})
			}}
		},
		"the inventory has every extension once": func(d Full) mutant {
			return mutant{Full: d, extensions: func(ctx context.Context, yield func(directory.Extension) error) error {
				first := true
				return d.Extensions(ctx, func(e directory.Extension) error {
					if first {
						first = false
						return nil
					}
					return yield(e)
				})
			}}
		},
		"one call is one request": func(d Full) mutant {
			return mutant{Full: d, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
				if s, err := d.Status(ctx, ext); err != nil {
					return s, err
				}
				return d.Status(ctx, ext)
			}}
		},
		"a failed call is not repeated": func(d Full) mutant {
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				err := d.SetStatus(ctx, ext, s)
				if err != nil && fault.KindOf(err) == fault.Unavailable {
					err = d.SetStatus(ctx, ext, s)
				}
				return err
			}}
		},
		"throttling carries its delay": func(d Full) mutant {
			return rewriteRead(d, fault.Throttled, as(fault.Throttled))
		},
		"a missing right is denied": func(d Full) mutant {
			return rewriteRead(d, fault.Denied, as(fault.Unavailable))
		},
		"a write that was turned away is unavailable and changes nothing": func(d Full) mutant {
			return rewriteWrite(d, fault.Unavailable, as(fault.Timeout))
		},
		"a write whose answer is lost is a timeout": func(d Full) mutant {
			return rewriteWrite(d, fault.Timeout, as(fault.Unavailable))
		},
		"a senseless answer is classified": func(d Full) mutant {
			return rewriteRead(d, fault.Unavailable, nonsense)
		},
		"a cancelled call returns promptly": func(d Full) mutant {
			return mutant{Full: d, set: func(ctx context.Context, ext identity.Extension, s presence.Status) error {
				if _, bounded := ctx.Deadline(); !bounded {
					ctx = context.WithoutCancel(ctx)
				}
				return d.SetStatus(ctx, ext, s)
			}}
		},
		"a passed deadline is a timeout": func(d Full) mutant {
			return rewriteRead(d, fault.Timeout, as(fault.Unavailable))
		},
		"faults leave nothing behind": func(d Full) mutant {
			failures := 0
			return mutant{Full: d, status: func(ctx context.Context, ext identity.Extension) (presence.Status, error) {
				s, err := d.Status(ctx, ext)
				if err != nil {
					failures++
				}
				if failures >= 3 && err == nil {
					return presence.Unset, nil // connections that were never returned
				}
				return s, err
			}}
		},
		"a watch tells of a call and of its end": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				return d.Watch(ctx, func(e pbx.WatchEvent) {
					if call, ok := e.(pbx.CallEvent); ok && !call.Active() {
						return // hears of beginnings only
					}
					sink(e)
				})
			}}
		},
		"a watch tells of a status that a person chose": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				synced := false
				return d.Watch(ctx, func(e pbx.WatchEvent) {
					if _, ok := e.(pbx.StatusEvent); ok && synced {
						return
					}
					if _, ok := e.(pbx.Synced); ok {
						synced = true
					}
					sink(e)
				})
			}}
		},
		"a watch tells what is the case before it says that this was all": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				sink(pbx.Synced{}) // connected, and nothing more
				return d.Watch(ctx, sink)
			}}
		},
		"a watch ends when it is cut, and a new one tells the truth": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				for { // connects again by itself, behind the back of who has to know
					if err := d.Watch(ctx, sink); fault.KindOf(err) == fault.Cancelled || errors.Is(err, errClosed) {
						return err
					}
				}
			}}
		},
		"a cancelled watch ends promptly": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				deaf, cancel := context.WithCancel(context.WithoutCancel(ctx))
				defer cancel()
				connecting := context.AfterFunc(ctx, cancel)
				return d.Watch(deaf, func(e pbx.WatchEvent) {
					if _, ok := e.(pbx.Synced); ok {
						connecting() // while it connects it can be cancelled, and not from now on
					}
					sink(e)
				})
			}}
		},
		"closing ends a watch and leaves nothing of it": func(d Full) mutant {
			return mutant{Full: d, watch: func(ctx context.Context, sink pbx.Sink) error {
				err := d.Watch(ctx, sink)
				if errors.Is(err, errClosed) {
					<-ctx.Done() // waits for a word that never comes
				}
				return err
			}}
		},
		"closing twice is closing once": func(d Full) mutant {
			closed := false
			return mutant{Full: d, close: func() error {
				if closed {
					return errors.New("use of closed connection")
				}
				closed = true
				return d.Close()
			}}
		},
	})
	return all
}

// The suite is awake: each case has a driver that fails it, and nothing else.
func TestMutants(t *testing.T) {
	leak := make(chan struct{})
	defer close(leak)
	all := mutants(leak)
	if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, slices.Sorted(slices.Values(pbxtest.Names()))) {
		t.Fatalf("cases and mutants differ: %v", names)
	}
	for _, name := range pbxtest.Names() {
		t.Run(name, func(t *testing.T) {
			failed := pbxtest.Check(t.Context(), func() pbxtest.Harness {
				h := newHarness(Powers)
				m := all[name](h.driver.(Full))
				if h.driver = m; m.instead != nil {
					h.driver = m.instead
				}
				return h
			})
			if failed[name] == "" {
				t.Errorf("the broken driver passes its case")
			}
			delete(failed, name)
			for other, said := range failed {
				t.Errorf("the broken driver also fails %q: %s", other, said)
			}
		})
	}
}

package writer

import (
	"context"
	"encoding/json"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// changeExtension carries out one want and says what came of it. An error means: try
// again.
func (s *system) changeExtension(ctx context.Context, w wire.ExtensionWant, delivered uint64) error {
	result, detail, err := s.extensionResult(ctx, w)
	if err != nil {
		final, again := settled(err, delivered)
		if again != nil {
			return again
		}
		result, detail = final, err.Error()
	}
	s.w.metrics.changed(ctx, s.id, "extension", result)
	return s.w.publish(ctx, wire.ExtensionOutcome{ID: w.ID, Person: w.Person, Line: w.Line, Op: w.Op, Result: result, Detail: detail, Plan: w.Plan, At: s.w.bus.Now()}, "")
}

func (s *system) extensionResult(ctx context.Context, w wire.ExtensionWant) (wire.ChangeResult, string, error) {
	switch {
	case !s.tenants[w.Person.Tenant]:
		return wire.ChangeRefused, "the phone system does not serve this tenant", nil
	case s.kept.Load().Extensions():
		return wire.ChangeRefused, "the phone system's own Microsoft 365 sync keeps its extensions: switch that off, or set options.ignore_native_sync", nil
	}
	switch w.Op {
	case wire.OpCreate:
		return s.createExtension(ctx, w)
	case wire.OpAdopt, wire.OpUpdate, wire.OpReturn, wire.OpDisable:
		return s.updateExtension(ctx, w)
	case wire.OpDelete:
		return s.deleteExtension(ctx, w)
	}
	return wire.ChangeRefused, "this version does not know how to " + string(w.Op), nil
}

// creation is the ledger of an extension that is being made: recorded before the phone
// system is asked, removed when it is known to be there. Where the answer was lost, it
// tells our own half-made extension from somebody else's of the same number.
type creation struct {
	Person identity.Person `json:"person"`
	Began  time.Time       `json:"began"`
}

func (s *system) createExtension(ctx context.Context, w wire.ExtensionWant) (wire.ChangeResult, string, error) {
	key := topology.Join("creating", string(s.id), string(w.Line.Extension))
	begun, err := s.intendCreation(ctx, key, w.Person)
	if err != nil {
		return "", "", err
	}
	result := wire.ChangeDone
	err = s.pbx.CreateExtension(ctx, w.Update.To)
	if fault.KindOf(err) == fault.Conflict {
		is, err := s.pbx.Extension(ctx, w.Line.Extension)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			return wire.ChangeTaken, "something that is no extension has the number", s.w.forget(ctx, key)
		case err != nil:
			return "", "", err
		case is.Marker != w.Person.User && (is.Marker != "" || !begun):
			return wire.ChangeTaken, "somebody else's extension has the number", s.w.forget(ctx, key)
		}
		if result, err = s.complete(ctx, w, is); err != nil {
			return "", "", err
		}
	} else if err != nil {
		return "", "", err
	}
	if err := s.relist(ctx, inventoryOf(w.Line, s.made(w.Update.To))); err != nil {
		return "", "", err
	}
	return result, "", s.w.forget(ctx, key)
}

// made is what a listing will say of an extension that was made as it should be: of what
// the phone system does not take nothing, but for the name that it derives.
func (s *system) made(to directory.Extension) directory.Extension {
	e := directory.Extension{Number: to.Number, Enabled: true, Fields: directory.Fields{DisplayName: to.DisplayName}}
	directory.Update{To: to, Fields: s.pbx.Capabilities().Writer.Fields}.Apply(&e)
	return e
}

// intendCreation records that an extension is about to be made, and says whether it was
// so recorded for the same person before.
func (s *system) intendCreation(ctx context.Context, key string, who identity.Person) (begun bool, err error) {
	var is creation
	e, err := s.w.ledger.Get(ctx, key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return false, err
	}
	if err == nil && json.Unmarshal(e.Value, &is) == nil && is.Person == who {
		return true, nil
	}
	value, err := json.Marshal(creation{who, s.w.bus.Now()})
	if err != nil {
		return false, err
	}
	_, err = s.w.ledger.Put(ctx, key, value)
	return false, err
}

// forget removes an entry of the ledger. It is no matter if it was not there.
func (w *Writer) forget(ctx context.Context, key string) error {
	var e store.Entry
	e, err := w.ledger.Get(ctx, key)
	if err == nil {
		err = w.ledger.Delete(ctx, key, e.Revision)
	}
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// complete makes an extension of ours that is there already what it should be.
func (s *system) complete(ctx context.Context, w wire.ExtensionWant, is directory.Extension) (wire.ChangeResult, error) {
	update := directory.Update{To: w.Update.To}
	for _, f := range s.pbx.Capabilities().Writer.Fields {
		if is.Text(f) != w.Update.To.Text(f) {
			update.Fields = append(update.Fields, f)
		}
	}
	if len(update.Fields) == 0 && is.Marker == w.Update.To.Marker {
		return wire.ChangeAlready, nil
	}
	return wire.ChangeDone, s.pbx.UpdateExtension(ctx, w.Line.Extension, update)
}

// updateExtension reads before it writes: what is so already is not written, and what is
// not ours is left alone.
func (s *system) updateExtension(ctx context.Context, w wire.ExtensionWant) (wire.ChangeResult, string, error) {
	is, result, detail, err := s.ours(ctx, w)
	if err != nil || result != "" {
		return result, detail, err
	}
	update := directory.Update{To: w.Update.To}
	update.To.Marker = ""
	for _, f := range w.Update.Fields {
		if is.Text(f) != w.Update.To.Text(f) {
			update.Fields = append(update.Fields, f)
		}
	}
	if w.Op != wire.OpDisable && is.Marker == "" && s.pbx.Capabilities().Writer.Marker != "" {
		update.To.Marker = w.Person.User
	}
	result = wire.ChangeAlready
	if len(update.Fields) > 0 || update.To.Marker != "" {
		result = wire.ChangeDone
		if err := s.pbx.UpdateExtension(ctx, w.Line.Extension, update); err != nil {
			return "", "", err
		}
		update.Apply(&is)
	}
	return result, "", s.relist(ctx, inventoryOf(w.Line, is))
}

func (s *system) deleteExtension(ctx context.Context, w wire.ExtensionWant) (wire.ChangeResult, string, error) {
	_, result, detail, err := s.ours(ctx, w)
	if err != nil || result != "" {
		if result == wire.ChangeForeign && detail == goneAlready {
			return wire.ChangeAlready, "", err
		}
		return result, detail, err
	}
	failed, err := s.pbx.DeleteExtensions(ctx, []identity.Extension{w.Line.Extension})
	if err == nil {
		err = failed[w.Line.Extension]
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", "", err
	}
	return wire.ChangeDone, "", s.relist(ctx, wire.Inventory{Line: w.Line, Gone: true})
}

const goneAlready = "there is no such extension any more"

// ours reads the extension of a want. result says why it is not to be touched, if so.
func (s *system) ours(ctx context.Context, w wire.ExtensionWant) (is directory.Extension, result wire.ChangeResult, detail string, err error) {
	is, err = s.pbx.Extension(ctx, w.Line.Extension)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return is, wire.ChangeForeign, goneAlready, s.relist(ctx, wire.Inventory{Line: w.Line, Gone: true})
	case err != nil:
		return is, "", "", err
	case is.Marker != "" && is.Marker != w.Person.User:
		return is, wire.ChangeForeign, "the extension is marked as another user's", s.relist(ctx, inventoryOf(w.Line, is))
	}
	return is, "", "", nil
}

// inventoryOf is what the next listing will say of an extension.
func inventoryOf(line identity.Line, e directory.Extension) wire.Inventory {
	return wire.Inventory{Line: line, Fields: e.Fields, Marker: e.Marker, Enabled: e.Enabled}
}

// changePhoto carries out one want and says what came of it, under the picture's ETag. A
// picture that the phone system does not take is no reason to try for ever: it is said and
// dropped, and comes again on another day.
func (s *system) changePhoto(ctx context.Context, w wire.PhotoWant, delivered uint64) error {
	result, detail, err := s.photoResult(ctx, w)
	if err != nil {
		final, again := settled(err, delivered)
		if again != nil {
			return again
		}
		result, detail = final, err.Error()
	}
	s.w.metrics.changed(ctx, s.id, "photo", result)
	if !result.Well() {
		s.log.Warn("photo not set", "extension", w.Line.Extension, "result", result, "detail", detail)
	}
	return s.w.publish(ctx, wire.ExtensionOutcome{ID: w.ETag, Person: w.Person, Line: w.Line, Op: directory.SetPhoto, Result: result, Detail: detail, At: s.w.bus.Now()}, "")
}

func (s *system) photoResult(ctx context.Context, w wire.PhotoWant) (wire.ChangeResult, string, error) {
	switch {
	case !s.tenants[w.Person.Tenant]:
		return wire.ChangeRefused, "the phone system does not serve this tenant", nil
	case s.kept.Load().Photos:
		return wire.ChangeRefused, "the phone system's own Microsoft 365 sync keeps its photos", nil
	}
	return wire.ChangeDone, "", s.pbx.SetPhoto(ctx, w.Line.Extension, w.Image, w.MIME)
}

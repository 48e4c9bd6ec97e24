package sippresence

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// writeGap is how long a File gathers changes before it writes them.
const writeGap = time.Second

// File keeps publications in a file of JSON, which only its owner may read. It is
// replaced as a whole, so that it is always complete, at most once a second and when it is
// closed; what a crash keeps it from writing is stale in it, which Publications allows.
// One process at a time may use it.
type File struct {
	path string

	mu      sync.Mutex
	all     map[subject]Publication
	changed chan struct{} // holds a token when there is something to write
	stop    chan struct{} // closed by Close
	written chan struct{} // closed when the last write is over; nil before All
	failure error         // of the newest write, or nil
}

var _ Publications = (*File)(nil)

// NewFile names the file. It is read by All, and its folder must exist.
func NewFile(path string) *File {
	return &File{path: path, all: make(map[subject]Publication), changed: make(chan struct{}, 1), stop: make(chan struct{})}
}

// All reads the file. One that does not exist or makes no sense holds nothing; one that
// cannot be read, or could not be written, is Denied.
func (f *File) All(context.Context) ([]Publication, error) {
	const op = "sippresence: kept publications"
	data, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Denied, op, err)
	}
	all := sensible(data, time.Now())
	for _, p := range all {
		f.all[subject{p.Extension, p.Event}] = p
	}
	if err := f.write(); err != nil {
		return nil, fault.New(fault.Denied, op, err)
	}
	f.written = make(chan struct{})
	go f.keepUp()
	return all, nil
}

// Usable says why All would be Denied, nil if it would not.
func (f *File) Usable() error {
	if _, err := os.ReadFile(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// sensible returns what of a file can be used now.
func sensible(data []byte, now time.Time) []Publication {
	var read, all []Publication
	if json.Unmarshal(data, &read) != nil {
		return nil
	}
	seen := make(map[subject]bool)
	for _, p := range read {
		ext, err := identity.ParseExtension(string(p.Extension))
		about := subject{ext, p.Event}
		if err != nil || p.Event != Presence && p.Event != Dialog || seen[about] || !worthKeeping(p, now) || p.Expires.After(now.Add(longestExpires)) {
			continue
		}
		if p.Status != presence.Unset && !presence.All.Has(p.Status) || !isToken(p.ETag) && (p.ETag != "" || p.Event != Dialog) {
			continue
		}
		seen[about] = true
		all = append(all, p)
	}
	return all
}

// worthKeeping says whether a publication is still of use: a lamp is even when it has
// expired, or when its tag was lost, because it must be turned off.
func worthKeeping(p Publication, now time.Time) bool { return p.Event == Dialog || p.living(now) }

// isToken says whether a text can be an entity tag (RFC 3903 section 11.3.1, a token of
// RFC 3261 section 25.1): nothing else may become a header.
func isToken(text string) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '!', c == '%', c == '*', c == '_', c == '+', c == '`', c == '\'', c == '~':
		default:
			return false
		}
	}
	return text != "" && len(text) <= 256
}

// Keep notes a publication.
func (f *File) Keep(p Publication) {
	f.change(func() { f.all[subject{p.Extension, p.Event}] = p })
}

// Forget drops one.
func (f *File) Forget(ext identity.Extension, event Event) {
	f.change(func() { delete(f.all, subject{ext, event}) })
}

func (f *File) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Close writes what is not written yet and returns why that failed. Twice is once.
func (f *File) Close() error {
	f.mu.Lock()
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	written := f.written
	f.mu.Unlock()
	if written == nil {
		return nil
	}
	<-written
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// keepUp writes changes until Close, and then once more.
func (f *File) keepUp() {
	defer close(f.written)
	for stopped := false; !stopped; {
		select {
		case <-f.changed:
			select {
			case <-time.After(writeGap):
			case <-f.stop:
				stopped = true
			}
		case <-f.stop:
			stopped = true
		}
		err := f.write()
		f.mu.Lock()
		f.failure = err
		f.mu.Unlock()
	}
}

// write replaces the file.
func (f *File) write() (err error) {
	f.mu.Lock()
	all, now := make([]Publication, 0, len(f.all)), time.Now()
	for about, p := range f.all {
		if worthKeeping(p, now) {
			all = append(all, p)
		} else {
			delete(f.all, about)
		}
	}
	f.mu.Unlock()
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.path)
}

package contactsync

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sample is a book with everything in it.
func sample() *book {
	b := &book{
		shared: true, at: 7, open: true, unread: noon, flight: "abc", sent: noon.Add(time.Second), problem: "denied", problemAt: noon, left: noon, over: 3, troubleAt: noon,
		folders: []folder{{id: "inbox", round: 1 << 40, began: noon, seen: noon.Add(time.Minute), whole: true}, {id: "", doubt: true, gone: true}},
		removed: []removal{{noon, 4}},
		entries: []entry{
			{source: directory.SourceKey("a"), id: "17", seen: 5, written: 5},
			{source: directory.SourceKey("b"), id: "0017", seen: 5, written: 6, folder: 1, marked: true, flying: true},
			{source: "not-a-key", id: "c0ffee-1", seen: 1, unsure: true, lifted: true},
			{source: "x", seen: 1, trouble: foreign},
			{source: "y", seen: 1, written: 1, notes: notes(0).with(directory.Shared)},
			{source: "z", seen: 1, trouble: full, notes: notes(0).with(directory.Shortened).with(directory.NoPlace)},
		},
	}
	b.sort()
	return b
}

func TestABookIsReadAsItWasWritten(t *testing.T) {
	for name, b := range map[string]*book{"an empty one": {entries: []entry{}}, "one with everything": sample()} {
		got, err := decodeBook(b.encode())
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Errorf("%s: %v\n%+v became\n%+v", name, err, b, got)
		}
	}
}

// Values of the version before have no notes.
func TestABookOfTheVersionBeforeIsRead(t *testing.T) {
	b := sample()
	b.entries = slices.DeleteFunc(b.entries, func(e entry) bool { return e.notes != 0 })
	old := b.encode()
	old[0] = 1
	if got, err := decodeBook(old); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("%v\n%+v became\n%+v", err, b, got)
	}
}

func TestWhatIsNoBookIsInvalid(t *testing.T) {
	good := sample().encode()
	cases := map[string][]byte{
		"nothing": nil, "another version": append([]byte{9}, good[1:]...), "something behind it": append(bytes.Clone(good), 0),
		"a text": []byte("hello"), "a claim of many entries": {codecVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
	}
	for i := range good {
		cases["cut off at "+strconv.Itoa(i)] = good[:i]
	}
	for name, value := range cases {
		if b, err := decodeBook(value); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

func FuzzDecodeBook(f *testing.F) {
	f.Add(sample().encode())
	f.Add((&book{}).encode())
	f.Fuzz(func(t *testing.T, value []byte) {
		b, err := decodeBook(value)
		if err != nil {
			return
		}
		again, err := decodeBook(b.encode())
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Fatalf("%+v became %+v, %v", b, again, err)
		}
	})
}

// filled returns a book with n synced entries, as a phone system with numbers for ids has
// them.
func filled(n int, id func(int) string) *book {
	b := &book{folders: []folder{{id: "AAMkAGI2", round: 1}}}
	for i := range n {
		print := rand.Uint64()
		b.entries = append(b.entries, entry{source: directory.SourceKey(strconv.Itoa(i)), id: id(i), seen: print, written: print})
	}
	b.sort()
	return b
}

func TestAnEntryCostsLittle(t *testing.T) {
	const n = 1_000
	for _, c := range []struct {
		name string
		id   func(int) string
		most int
	}{
		{"numbers for ids", func(i int) string { return strconv.Itoa(100_000 + i) }, 30},
		{"GUIDs for ids", func(i int) string { return "00000000-0000-0000-0000-" + strconv.Itoa(100_000_000_000+i) }, 64},
	} {
		if size := len(filled(n, c.id).encode()); size > c.most*n {
			t.Errorf("%s: %d bytes each, more than %d", c.name, size/n, c.most)
		}
	}
}

// The room that is left is never told as more than there is, and as little less as is
// known of the ids.
func TestABookThatIsFullStillFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		id    func(int) string
		least int
	}{
		{"numbers for ids", strconv.Itoa, 21_000},
		{"GUIDs for ids", func(i int) string { return "00000000-0000-0000-0000-" + strconv.Itoa(100_000_000_000+i) }, 13_000},
	} {
		b := &book{}
		given := 0
		for page := range 40 { // a thousand contacts each, of which the phone system gives ids
			r := reading{sequence: uint64(page + 1), full: true, first: page == 0, round: 1, seenAt: noon}
			for i := range 1_000 {
				r.items = append(r.items, item{contact: directory.Contact{Source: directory.SourceKey(strconv.Itoa(1_000*page + i))}, print: uint64(i) + 1})
			}
			b.fold(r)
			for i := range b.entries {
				if b.entries[i].id == "" {
					given++
					b.entries[i].id = c.id(given)
				}
			}
		}
		n, size := len(b.entries), len(b.encode())
		t.Logf("%s: %d entries, %d bytes", c.name, n, size)
		if n < c.least || b.over != 40_000-n {
			t.Errorf("%s: %d found room, %d did not", c.name, n, b.over)
		}
		if size > mostValue {
			t.Errorf("%s: the value of a full book has %d bytes, more than %d", c.name, size, mostValue)
		}
	}
}

package contactsync

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"

	"offhook.dev/libs/core/fault"
)

// A value is a head, the folders, what was deleted lately, and 26 to 40 bytes for each
// usual entry. Numbers are varints, times microseconds (0: none), texts follow their
// length.

const (
	codecVersion = 2 // 1 had no notes, and is read as well
	// mostValue bounds a value: a broker takes messages of 1 MiB.
	mostValue = 1_000_000
	// mostEntry is the longest entry with a key of directory.SourceKey and an id of mostID
	// characters.
	mostEntry = 1 + 2 + keyBytes + 1 + mostID + 2 + 8 + 8
	mostID    = 36
)

// Bits of an entry.
const (
	bitMarked = 1 << iota
	bitFlying
	bitUnsure
	bitLifted
	bitKey      // the source is a key of directory.SourceKey, kept as its bytes
	bitNumberID // the id is a number, kept as one
	bitSame     // both sides are the same
	bitMore     // a byte follows, with the trouble
)

// bitNotes of that byte says that another follows, with the notes.
const bitNotes = 1 << 7

// Bits of a book.
const (
	bitShared = 1 << iota
	bitOpen
)

// Bits of a folder.
const (
	bitWhole = 1 << iota
	bitDoubt
	bitGone
)

// keyText and keyBytes are the length of a key of directory.SourceKey, written and not.
const (
	keyText  = 26
	keyBytes = 16
)

var keys = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// room returns how many bytes the value may still grow, and how many a new entry takes at
// most, by the ids that the phone system has given so far.
func (b *book) room() (left, each int) {
	size, longest := 256+len(b.problem), 0
	for _, f := range b.folders {
		size += len(f.id) + 40
	}
	for i := range b.entries {
		e := &b.entries[i]
		size += 1 + 2 + 8 + 8 + 2 + 2
		if _, ok := packKey(e.source); ok {
			size += keyBytes
		} else {
			size += len(e.source)
		}
		id := len(e.id)
		if _, ok := packNumber(e.id); ok || id < 8 {
			id = 8
		}
		size += id
		if e.id != "" {
			longest = max(longest, id)
		}
	}
	each = mostEntry
	if longest > 0 {
		each += longest - mostID
	}
	return mostValue - size, each
}

// packKey returns the bytes of a source that can be had back from them.
func packKey(s string) ([keyBytes]byte, bool) {
	var raw [keyBytes]byte
	var text [keyText]byte
	if len(s) != keyText {
		return raw, false
	}
	if n, err := keys.Decode(raw[:], []byte(s)); err != nil || n != keyBytes {
		return raw, false
	}
	keys.Encode(text[:], raw[:])
	return raw, string(text[:]) == s
}

func packNumber(s string) (uint64, bool) {
	if s == "" || s[0] == '0' || s[0] == '+' || len(s) > 18 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func bit(on bool, mask byte) byte {
	if on {
		return mask
	}
	return 0
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

func appendTime(to []byte, t time.Time) []byte {
	if t.IsZero() || t.UnixMicro() < 0 {
		return append(to, 0)
	}
	return binary.AppendUvarint(to, uint64(t.UnixMicro()))
}

// encode returns the value of a book.
func (b *book) encode() []byte {
	to := make([]byte, 0, 256+32*len(b.entries))
	to = append(to, codecVersion, bit(b.shared, bitShared)|bit(b.open, bitOpen))
	to = binary.AppendUvarint(to, b.at)
	to = appendTime(to, b.unread)
	to = appendText(to, b.flight)
	to = appendTime(to, b.sent)
	to = appendText(to, b.problem)
	to = appendTime(to, b.problemAt)
	to = appendTime(to, b.left)
	to = binary.AppendUvarint(to, uint64(b.over))
	to = appendTime(to, b.troubleAt)
	to = binary.AppendUvarint(to, uint64(len(b.folders)))
	for _, f := range b.folders {
		to = appendText(to, f.id)
		to = binary.AppendUvarint(to, f.round)
		to = appendTime(to, f.began)
		to = appendTime(to, f.seen)
		to = append(to, bit(f.whole, bitWhole)|bit(f.doubt, bitDoubt)|bit(f.gone, bitGone))
	}
	to = binary.AppendUvarint(to, uint64(len(b.removed)))
	for _, r := range b.removed {
		to = appendTime(to, r.hour)
		to = binary.AppendUvarint(to, uint64(r.count))
	}
	to = binary.AppendUvarint(to, uint64(len(b.entries)))
	for i := range b.entries {
		to = b.entries[i].append(to)
	}
	return to
}

func (e *entry) append(to []byte) []byte {
	source, isKey := packKey(e.source)
	id, isNumber := packNumber(e.id)
	same := e.seen == e.written
	to = append(to, bit(e.marked, bitMarked)|bit(e.flying, bitFlying)|bit(e.unsure, bitUnsure)|bit(e.lifted, bitLifted)|
		bit(isKey, bitKey)|bit(isNumber, bitNumberID)|bit(same, bitSame)|bit(e.trouble != noTrouble || e.notes != 0, bitMore))
	switch {
	case e.notes != 0:
		to = append(to, byte(e.trouble)|bitNotes, byte(e.notes))
	case e.trouble != noTrouble:
		to = append(to, byte(e.trouble))
	}
	if isKey {
		to = append(to, source[:]...)
	} else {
		to = appendText(to, e.source)
	}
	if isNumber {
		to = binary.AppendUvarint(to, id)
	} else {
		to = appendText(to, e.id)
	}
	to = binary.AppendUvarint(to, uint64(e.folder))
	to = binary.BigEndian.AppendUint64(to, e.seen)
	if !same {
		to = binary.BigEndian.AppendUint64(to, e.written)
	}
	return to
}

// decodeBook is the inverse of encode.
func decodeBook(value []byte) (*book, error) {
	r := &unpacker{rest: value}
	if version := r.byte(); version < 1 || version > codecVersion {
		return nil, fault.Errorf(fault.Invalid, "book", "version %d is not %d", version, codecVersion)
	}
	flags := r.byte()
	b := &book{shared: flags&bitShared != 0, open: flags&bitOpen != 0, at: r.number(), unread: r.time(), flight: r.text(), sent: r.time(),
		problem: r.text(), problemAt: r.time(), left: r.time(), over: r.int(), troubleAt: r.time()}
	for range r.count(5) {
		f := folder{id: r.text(), round: r.number(), began: r.time(), seen: r.time()}
		flags := r.byte()
		f.whole, f.doubt, f.gone = flags&bitWhole != 0, flags&bitDoubt != 0, flags&bitGone != 0
		b.folders = append(b.folders, f)
	}
	for range r.count(2) {
		b.removed = append(b.removed, removal{hour: r.time(), count: r.int()})
	}
	count := r.count(12)
	b.entries = make([]entry, 0, count)
	for range count {
		e := r.entry()
		if e.folder >= len(b.folders) {
			r.fail(errors.New("an entry of no folder"))
		}
		if n := len(b.entries); n > 0 && b.entries[n-1].source >= e.source {
			r.fail(errors.New("entries out of order"))
		}
		b.entries = append(b.entries, e)
	}
	if len(r.rest) > 0 {
		r.fail(errors.New("something follows"))
	}
	if r.err != nil {
		return nil, fault.New(fault.Invalid, "book", r.err)
	}
	return b, nil
}

// unpacker reads a value; after the first error it reads nothing.
type unpacker struct {
	rest []byte
	err  error
}

func (r *unpacker) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

var errShort = errors.New("it ends too early")

func (r *unpacker) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail(errShort)
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *unpacker) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *unpacker) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *unpacker) int() int {
	n := r.number()
	if n > math.MaxInt32 {
		r.fail(errors.New("too large a number"))
		return 0
	}
	return int(n)
}

// count reads how many things follow, each of at least some bytes: a wrong one must not
// cost memory.
func (r *unpacker) count(least int) int {
	n := r.int()
	if n > len(r.rest)/least {
		r.fail(errShort)
		return 0
	}
	return n
}

func (r *unpacker) text() string { return string(r.take(r.number())) }

func (r *unpacker) time() time.Time {
	n := r.number()
	switch {
	case n == 0:
		return time.Time{}
	case n > math.MaxInt64/1000:
		r.fail(errors.New("a time too far away"))
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

func (r *unpacker) print() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *unpacker) entry() entry {
	flags := r.byte()
	e := entry{marked: flags&bitMarked != 0, flying: flags&bitFlying != 0, unsure: flags&bitUnsure != 0, lifted: flags&bitLifted != 0}
	if flags&bitMore != 0 {
		more := r.byte()
		if e.trouble = trouble(more &^ bitNotes); int(e.trouble) >= len(troubleNames) {
			r.fail(errors.New("an unknown trouble"))
		}
		if more&bitNotes != 0 {
			e.notes = notes(r.byte())
		}
		if e.trouble == noTrouble && e.notes == 0 {
			r.fail(errors.New("a byte for nothing"))
		}
	}
	if flags&bitKey != 0 {
		e.source = keys.EncodeToString(r.take(keyBytes))
	} else {
		e.source = r.text()
	}
	if flags&bitNumberID != 0 {
		e.id = strconv.FormatUint(r.number(), 10)
	} else {
		e.id = r.text()
	}
	e.folder = r.int()
	e.seen = r.print()
	e.written = e.seen
	if flags&bitSame == 0 {
		e.written = r.print()
	}
	return e
}

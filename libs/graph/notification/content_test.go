package notification_test

import (
	"bytes"
	"errors"
	"testing"

	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/notification"
)

const annaBusy = `{"@odata.id":"x","@odata.type":"#microsoft.graph.presence","id":"` + anna + `","availability":"Busy","activity":"InAMeeting","future":1}`

// keys are those of two certificates in rotation.
func keys() notification.Keys {
	return notification.Keys{"old": pairs()[0].Key, "new": pairs()[1].Key}
}

func itemOf(t testing.TB, user string, content sealed) notification.Item {
	t.Helper()
	item, err := notification.DecodeItem(encode(t, presenceItem(user, &content)))
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func TestContentOpensUnderEachKeyInRotation(t *testing.T) {
	want := graph.Presence{User: anna, Availability: "Busy", Activity: "InAMeeting"}
	for i, id := range []string{"old", "new"} {
		got, err := keys().Presence(itemOf(t, anna, seal(t, pairs()[i].Certificate, id, annaBusy)))
		if err != nil || got != want {
			t.Errorf("under the %s key: %+v, %v; want %+v", id, got, err, want)
		}
	}
}

func TestContentThatWasTamperedWithDoesNotOpen(t *testing.T) {
	cert := pairs()[0].Certificate
	good := func() sealed { return seal(t, cert, "old", annaBusy) }
	with := func(change func(*sealed)) sealed {
		c := good()
		change(&c)
		return c
	}
	other := good()
	tests := []struct {
		name    string
		content sealed
	}{
		{"an unknown certificate id", with(func(c *sealed) { c.Certificate = "lost" })},
		{"another key's certificate id", with(func(c *sealed) { c.Certificate = "new" })},
		{"a flipped bit in the data", with(func(c *sealed) { c.Data[0] ^= 1 })},
		{"a flipped bit in the signature", with(func(c *sealed) { c.Signature[31] ^= 1 })},
		{"a truncated signature", with(func(c *sealed) { c.Signature = c.Signature[:16] })},
		{"a signature with a tail", with(func(c *sealed) { c.Signature = append(c.Signature, 0) })},
		{"a flipped bit in the key", with(func(c *sealed) { c.Key[9] ^= 1 })},
		{"the key of another item", with(func(c *sealed) { c.Key = other.Key })},
		{"the data of another item", with(func(c *sealed) { c.Data = other.Data })},
		{"data cut by a block", with(func(c *sealed) { c.Data = c.Data[:len(c.Data)-16] })},
		{"data that is no whole block", with(func(c *sealed) { c.Data = c.Data[:len(c.Data)-1] })},
		{"signed, but padded with zero", sealRaw(t, cert, "old", make([]byte, 32), 32)},
		{"signed, but padded with more than a block", sealRaw(t, cert, "old", blocks(annaBusy, bytes.Repeat([]byte{17}, 17)), 32)},
		{"signed, but padded unevenly", sealRaw(t, cert, "old", blocks(annaBusy, []byte{2}), 32)},
		{"signed under AES-128", sealRaw(t, cert, "old", append([]byte("{}"), bytes.Repeat([]byte{14}, 14)...), 16)},
		{"signed, but not JSON", seal(t, cert, "old", "Busy")},
		{"signed, but without an id", seal(t, cert, "old", `{"availability":"Busy","activity":"Busy"}`)},
		{"signed, but without an activity", seal(t, cert, "old", `{"id":"`+anna+`","availability":"Busy"}`)},
		{"signed, but with a line break in a word", seal(t, cert, "old", `{"id":"`+anna+`","availability":"Busy","activity":"a\nb"}`)},
		{"swapped: signed for another user", seal(t, cert, "old", `{"id":"`+ben+`","availability":"Busy","activity":"Busy"}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := keys().Presence(itemOf(t, anna, test.content))
			if !errors.Is(err, notification.ErrContent) || err.Error() != notification.ErrContent.Error() || got != (graph.Presence{}) {
				t.Errorf("%+v, %v; want the one error", got, err)
			}
		})
	}
	if got, err := keys().Presence(itemOf(t, anna, good())); err != nil {
		t.Errorf("control: untouched content gives %+v, %v", got, err)
	}
}

// blocks ends plain with tail and fills whole blocks with white space in between,
// so that nothing but the padding is wrong.
func blocks(plain string, tail []byte) []byte {
	for (len(plain)+len(tail))%16 != 0 {
		plain += " "
	}
	return append([]byte(plain), tail...)
}

func TestAnItemWithoutContentDoesNotOpen(t *testing.T) {
	item, err := notification.DecodeItem(encode(t, presenceItem(anna, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys().Presence(item); !errors.Is(err, notification.ErrContent) {
		t.Errorf("%v", err)
	}
	content := seal(t, pairs()[0].Certificate, "old", annaBusy)
	event := presenceItem(anna, &content)
	event["resource"] = "users/" + anna + "/events/AA"
	if item, err = notification.DecodeItem(encode(t, event)); err != nil {
		t.Fatal(err)
	}
	if _, err := keys().Presence(item); !errors.Is(err, notification.ErrContent) {
		t.Errorf("an event opens as a presence: %v", err)
	}
}

func FuzzContent(f *testing.F) {
	genuine := seal(f, pairs()[0].Certificate, "old", annaBusy)
	want, err := keys().Presence(itemOf(f, anna, genuine))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine.Data, genuine.Signature, genuine.Key, "old")
	f.Add(genuine.Data[:16], genuine.Signature, genuine.Key, "old")
	f.Add(genuine.Data, genuine.Signature[:8], genuine.Key, "new")
	f.Add([]byte("x"), []byte("y"), []byte("z"), "lost")
	f.Fuzz(func(t *testing.T, data, signature, key []byte, certificate string) {
		item, err := notification.DecodeItem(encode(t, presenceItem(anna, &sealed{data, signature, key, certificate, ""})))
		if err != nil {
			return
		}
		// Nobody can make content that opens without knowing the symmetric key.
		if got, err := keys().Presence(item); err == nil && got != want {
			t.Fatalf("opened as %+v", got)
		}
	})
}

// BenchmarkPresence and BenchmarkVerify are the receiver's cost behind the queue.
func BenchmarkPresence(b *testing.B) {
	item, all := itemOf(b, anna, seal(b, pairs()[0].Certificate, "old", annaBusy)), keys()
	for b.Loop() {
		if _, err := all.Presence(item); err != nil {
			b.Fatal(err)
		}
	}
}

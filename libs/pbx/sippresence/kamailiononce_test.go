package sippresence

import (
	"testing"

	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// What a real Kamailio makes of answers ahead, over UDP by way of a relay that counts.
func TestNoncesOfAKamailio(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		nonces kamailiotest.Nonces
		want   int // transactions of 600 writes, one after the other
	}{
		{"a nonce for all makes n writes n+1 transactions", kamailiotest.Lasting, 601},
		{"a nonce for 255 costs a transaction each time", kamailiotest.Counted, 603},
		{"a nonce for one makes two transactions of each write", kamailiotest.OneTime, 1200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := kamailiotest.Start(t, kamailiotest.Options{Storage: kamailiotest.Memory, Nonces: c.nonces})
			if server == nil {
				return
			}
			relay := newRelay(t, server.Address("udp"))
			t.Cleanup(relay.close)
			config := kamailio{server}.config(UDP)
			config.Server = relay.address()
			d := open(t, config)
			write(t, d, "300", 600)
			one := relay.transactions()
			if one != c.want {
				t.Errorf("600 writes were %d transactions instead of %d", one, c.want)
			}
			crowded(t, d, 20) // counts overtake each other
			if many := relay.transactions() - one; many > 2*320 {
				t.Errorf("320 writes, 16 at a time, were %d transactions", many)
			}
		})
	}
}

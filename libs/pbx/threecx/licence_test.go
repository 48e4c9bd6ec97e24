package threecx

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
)

func TestTheLicenceIsReadWithoutItsKey(t *testing.T) {
	sim := start(t, pbxsim.Config{Extensions: 1})
	d := open(t, sim)
	ends := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		active bool
		ends   time.Time
	}{{true, time.Time{}}, {true, ends}, {false, ends}} {
		sim.License(c.active, c.ends)
		got, err := d.Licence(t.Context())
		if err != nil || got.Lapsed == c.active || !got.Ends.Equal(c.ends) || got.Product == "" {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
	if n := sim.Stats().SecretsServed; n != 0 {
		t.Errorf("%d answers carried the key", n)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Unlicensed})
	if _, err := d.Licence(t.Context()); fault.KindOf(err) != fault.Denied || !errors.Is(err, pbx.ErrLicence) {
		t.Errorf("without a licence for the interface: %v", err)
	}
}

func TestALicenceThatSaysNothingIsTakenForActive(t *testing.T) {
	for answer, kind := range map[string]fault.Kind{
		`{}`: 0, `{"ProductCode":null,"LicenseActive":null,"ExpirationDate":null}`: 0, `{"ExpirationDate":"0001-01-01T00:00:00Z"}`: 0,
		`{"ExpirationDate":"soon"}`: fault.Unavailable, `[]`: fault.Unavailable, `<html>`: fault.Unavailable,
	} {
		d := scripted(t, root+"/LicenseStatus", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(answer)) })
		got, err := d.Licence(t.Context())
		if (err != nil) != (kind != 0) || err != nil && fault.KindOf(err) != kind || got != (pbx.Licence{}) {
			t.Errorf("%s: got %+v, %v", answer, got, err)
		}
	}
}

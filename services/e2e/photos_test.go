package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // what photos are made to
	"image/png"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/pbx-writer/writer"
)

// critic is a phone system that will not have the first pictures of an extension.
type critic struct {
	memory.Full
	of      identity.Extension
	refuses int32
	asked   *atomic.Int32
}

func (d critic) SetPhoto(ctx context.Context, ext identity.Extension, image []byte, mime string) error {
	if ext == d.of && d.asked.Add(1) <= d.refuses {
		return fault.New(fault.Invalid, "too dark", nil)
	}
	return d.Full.SetPhoto(ctx, ext, image, mime)
}

// A picture in Microsoft 365 is on the phone, no larger than the phone system takes, and
// goes again. One that the phone system will not have is tried again after a run by the
// clock.
func TestPhotosOfTheDirectoryAreOnThePhones(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Users: 3, Directory: 200 * time.Millisecond,
		Sync:    `{policy: sync, at: "* * * * *", start_extension: "200", photos: true}`,
		Systems: []world.System{{ID: "branch", Entry: "driver: memory, options: {extensions: 0}"}}})
	phones := memory.NewPhoneSystem()
	var asked atomic.Int32
	for _, part := range world.Parts() {
		switch part.Name {
		case topology.PBXWriter:
			part = run.NewPart(topology.PBXWriter, func(c config.Config) (writer.Options, error) {
				o, err := writer.FromConfig(c)
				for i := range o.Systems {
					if o.Systems[i].ID == "branch" {
						o.Systems[i].Open = func(context.Context) (pbx.Driver, error) {
							return critic{memory.Open(phones, memory.Powers), "201", 1, &asked}, nil
						}
					}
				}
				return o, err
			}, writer.Run)
		case topology.GraphPoller:
			part.Start = func(ctx context.Context, d run.Deps, c config.Config) error {
				o, err := poller.FromConfig(c, d.Hot, d.Meter)
				if err != nil {
					return err
				}
				for i := range o.Tenants {
					o.Tenants[i].PhotosEvery = time.Second
				}
				return poller.Run(ctx, d, o)
			}
		}
		w.Run(part)
	}
	users := w.Tenant.Users("", 3)
	is := func(of int, edge int, what color.NRGBA) {
		t.Helper()
		w.Eventually(3*time.Minute, func() string {
			for number := 200; number < 203; number++ {
				ext := identity.Extension(fmt.Sprint(number))
				if e, there := phones.Listed(ext); there && e.Mail == users[of].Mail {
					return looks(phones.Photo(ext), edge, what)
				}
			}
			return users[of].Mail + " has no extension"
		})
	}
	red, blue := color.NRGBA{200, 10, 10, 255}, color.NRGBA{10, 10, 200, 255}
	must(t, w.Tenant.SetPhoto(users[0].ID, "image/png", picture(t, 648, red)))
	must(t, w.Tenant.SetPhoto(users[1].ID, "image/png", picture(t, 648, blue)))
	is(0, 240, red)
	is(1, 240, blue)
	is(2, 0, color.NRGBA{})
	if n := asked.Load(); n < 2 {
		t.Errorf("it was asked %d times, and refused once", n)
	}
	must(t, w.Tenant.SetPhoto(users[0].ID, "image/png", picture(t, 648, blue)))
	must(t, w.Tenant.RemovePhoto(users[1].ID))
	is(0, 240, blue)
	is(1, 0, color.NRGBA{})
}

// picture is a PNG of one colour.
func picture(t *testing.T, edge int, c color.NRGBA) []byte {
	t.Helper()
	to := image.NewNRGBA(image.Rect(0, 0, edge, edge))
	draw.Draw(to, to.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	must(t, png.Encode(&b, to))
	return b.Bytes()
}

// looks says in what a picture is not a square of an edge, and about of a colour; with
// edge 0 there is to be none.
func looks(data []byte, edge int, c color.NRGBA) string {
	if edge == 0 || len(data) == 0 {
		if edge != 0 || len(data) != 0 {
			return fmt.Sprintf("a picture of %d bytes, want an edge of %d", len(data), edge)
		}
		return ""
	}
	is, kind, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return err.Error()
	}
	r, _, b, _ := is.At(edge/2, edge/2).RGBA()
	if is.Bounds().Dx() != edge || is.Bounds().Dy() != edge || (r > b) != (c.R > c.B) {
		return fmt.Sprintf("a %s of %v, and red %d, blue %d", kind, is.Bounds(), r>>8, b>>8)
	}
	return ""
}

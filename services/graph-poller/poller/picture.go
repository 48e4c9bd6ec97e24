package poller

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	_ "image/gif" // a kind of picture that people upload
	"image/jpeg"
	"image/png"

	"offhook.dev/libs/core/directory"
)

const (
	// mostPixels bounds what a picture takes in memory: a small file may say that it is
	// enormous.
	mostPixels  = 16 << 20
	jpegQuality = 88
)

// Why a photo is of no use.
var (
	errNoPicture = errors.New("it is not a picture that can be read")
	errTooLarge  = errors.New("it is too large")
)

// avatar makes a photo as phone systems take it: at most directory.PhotoEdge pixels wide and
// high, and written anew, so that nothing but the picture is in it. A picture in which
// something is transparent becomes a PNG, any other a JPEG.
func avatar(data []byte) (out []byte, mime string, err error) {
	is, _, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil || is.Width < 1 || is.Height < 1:
		return nil, "", errNoPicture
	case is.Width > mostPixels/is.Height:
		return nil, "", errTooLarge
	}
	from, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, "", errNoPicture
	}
	to := shrink(from, directory.PhotoEdge)
	var b bytes.Buffer
	if to.Opaque() {
		mime, err = directory.JPEG, jpeg.Encode(&b, to, &jpeg.Options{Quality: jpegQuality})
	} else {
		mime, err = directory.PNG, png.Encode(&b, to)
	}
	return b.Bytes(), mime, err
}

// shrink returns a picture that fits into a square with this edge: as it is if it does,
// else each of its pixels is the mean of those that it stands for.
func shrink(from image.Image, edge int) *image.NRGBA {
	bounds := from.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	if longest := max(width, height); longest > edge {
		width, height = max(1, width*edge/longest), max(1, height*edge/longest)
	}
	to := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		top, bottom := span(y, height, bounds.Dy())
		for x := range width {
			left, right := span(x, width, bounds.Dx())
			to.Set(x, y, mean(from, image.Rect(left, top, right, bottom).Add(bounds.Min)))
		}
	}
	return to
}

// span is which of so many pixels the i-th of n stands for: one or more.
func span(i, n, pixels int) (from, to int) {
	from = i * pixels / n
	return from, max(from+1, (i+1)*pixels/n)
}

func mean(from image.Image, area image.Rectangle) color.RGBA64 {
	var r, g, b, a, n uint64
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			pr, pg, pb, pa := from.At(x, y).RGBA()
			r, g, b, a, n = r+uint64(pr), g+uint64(pg), b+uint64(pb), a+uint64(pa), n+1
		}
	}
	return color.RGBA64{R: uint16(r / n), G: uint16(g / n), B: uint16(b / n), A: uint16(a / n)}
}

package directory

// Photos are made once, for all phone systems: squares of PhotoEdge pixels at most, as JPEG
// or, where something shows through, as PNG. A driver that shows photos takes both.
const (
	PhotoEdge = 240
	JPEG      = "image/jpeg"
	PNG       = "image/png"
)

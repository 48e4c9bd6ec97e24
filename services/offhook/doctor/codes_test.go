package doctor

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Scripts go by the codes, so people look them up.
func TestTheCodesOfPhoneSystemsAreThoseOfTheDocumentation(t *testing.T) {
	codes := regexp.MustCompile(`OH-PBX-\d{3}`)
	in := func(files ...string) []string {
		found := make(map[string]bool)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, code := range codes.FindAllString(string(text), -1) {
				found[code] = true
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	given, told := in(sources...), in(filepath.Join("..", "..", "..", "docs", "drivers", "README.md"))
	if len(given) < 12 || !slices.Equal(given, told) {
		t.Errorf("the doctor gives %v, docs/drivers/README.md has %v", given, told)
	}
}

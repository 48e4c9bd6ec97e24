package memory

import (
	"fmt"
	"strconv"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxbench"
)

// BenchmarkStatusWrites writes statuses into the memory of this process. There is no
// floor: without our layers nothing is left of it but an assignment. It shows what a
// System costs by itself, which is the difference between it and the driver.
func BenchmarkStatusWrites(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			system, numbers := office(64)
			pbxbench.Writes(b, pbxbench.Writing{Driver: Open(system, Powers), Extensions: numbers, InFlight: inFlight, Turn: 5000})
		})
	}
}

// BenchmarkMemory is of ten phone systems of 2,000 extensions: what a System and its watch
// take by themselves.
func BenchmarkMemory(b *testing.B) {
	var offices []*PhoneSystem
	for range pbxbench.Systems {
		system, _ := office(pbxbench.Extensions)
		offices = append(offices, system)
	}
	pbxbench.Memory(b, func(i int) pbx.Driver { return Open(offices[i], Powers) }, nil)
}

func office(n int) (*PhoneSystem, []identity.Extension) {
	var people []directory.Extension
	var numbers []identity.Extension
	for i := range n {
		numbers = append(numbers, identity.Extension(strconv.Itoa(200+i)))
		people = append(people, directory.Extension{Number: numbers[i], Enabled: true})
	}
	return NewPhoneSystem(people...), numbers
}

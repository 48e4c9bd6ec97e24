package identity

import "unique"

// Shared returns a name that many share, such as that of a tenant or system, as the one that
// they share: for who keeps it for many and was given it as a part of something longer.
func Shared[S ~string](name S) S { return S(unique.Make(string(name)).Value()) }

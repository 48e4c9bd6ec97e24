package run

// Effects is asked before and after everything that a service does and others can see, by
// name, as in "before want". An error ends the service there: tests let it die at each.
// Nobody asks where it is nil.
type Effects func(at string) error

// Around does something that others can see.
func (e Effects) Around(name string, do func() error) error {
	if e == nil {
		return do()
	}
	if err := e("before " + name); err != nil {
		return err
	}
	err := do()
	if dead := e("after " + name); dead != nil {
		return dead
	}
	return err
}

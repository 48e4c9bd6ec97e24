package directory

// Fit returns a contact as the phone system takes it, without an ID; ok is false where
// nothing of it can be shown. note is told of all that is left out or cut, as in PlanBook.
func (l BookLimits) Fit(c Contact, normalise func(string) string, note func(Field, Reason, string)) (fitted Contact, ok bool) {
	fitted = l.fit(&c, normalise, note)
	return fitted, !fitted.blank()
}

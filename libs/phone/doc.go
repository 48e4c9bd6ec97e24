// Package phone reads phone numbers as people write them and tells which of them are
// the same: "030 901820" in Germany, "+49 (0)30 901820" and "0049 30 901820" are all
// +4930901820. The numbering plans are those of Google's libphonenumber
// (github.com/nyaruka/phonenumbers).
//
// What it returns is a key to compare and to search by. What people see stays as it
// was written: nothing is ever shown, or written anywhere, in another form.
package phone

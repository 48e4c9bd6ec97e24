package portsip

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
)

// A contact has one name and no department. Which part of the name is the first name,
// the department, and whose the entry is are in the notes, which people see:
//
//	Department: Dairy
//	offhook:m365-4711:3
//
// The last line is on our entries only: their source, and how many characters of the
// name are the first name. Without a number the name is none, but a company, an address
// or a phone number that stands for it, because a name is mandatory.
const (
	departmentLine = "Department: "
	ourLine        = "offhook:"
)

// written is how the name, department and source of an entry are kept.
func written(c directory.Contact) (name, notes string) {
	split := strconv.Itoa(utf8.RuneCountInString(c.FirstName))
	switch {
	case c.FirstName != "" && c.LastName != "":
		name = c.FirstName + " " + c.LastName
	case c.FirstName != "" || c.LastName != "":
		name = c.FirstName + c.LastName
	default:
		name, split = cmp.Or(c.Company, c.Mail), ""
		if name == "" && len(c.Numbers) > 0 {
			name = c.Numbers[0].Text
		}
		name = cmp.Or(name, "-")
		if runes := []rune(name); len(runes) > 64 {
			name = string(runes[:64]) // it stands for a name only, and is whole in its own place
		}
	}
	if c.Department != "" {
		notes = departmentLine + c.Department + "\n"
	}
	if c.Source != "" {
		notes += ourLine + c.Source + ":" + split
	}
	return name, notes
}

// read is what written was given. Of entries of others the name is taken apart at its
// first space.
func read(name, notes string) directory.Contact {
	var c directory.Contact
	first, last, spaced := strings.Cut(name, " ")
	if c.FirstName, c.LastName = first, last; !spaced {
		c.FirstName, c.LastName = "", name
	}
	rest := notes
	begin := strings.LastIndex(notes, "\n") + 1
	if line, ours := strings.CutPrefix(notes[begin:], ourLine); ours {
		if at := strings.LastIndex(line, ":"); at >= 0 {
			c.Source = line[:at]
			c.FirstName, c.LastName = parted(name, line[at+1:])
			rest = notes[:begin]
		}
	}
	if department, ok := strings.CutPrefix(rest, departmentLine); ok {
		c.Department = strings.TrimSuffix(department, "\n")
		if c.Source == "" {
			c.Department, _, _ = strings.Cut(department, "\n")
		}
	}
	return c
}

// parted takes a name apart after so many characters. One that somebody has changed may
// not have them.
func parted(name, split string) (first, last string) {
	if split == "" {
		return "", ""
	}
	n, err := strconv.Atoi(split)
	runes := []rune(name)
	switch {
	case err != nil || n < 0 || n > len(runes) || n == 0:
		return "", name
	case n == len(runes):
		return name, ""
	case runes[n] == ' ':
		return string(runes[:n]), string(runes[n+1:])
	}
	return "", name
}
